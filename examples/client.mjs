// Analyze photos with a running service: node client.mjs PHOTO...
// Node 18 or newer, without packages. SERVICE is the address, API_KEY a key if the service has keys.
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const service = (process.env.SERVICE ?? "http://127.0.0.1:9000").replace(/\/+$/, "");
const headers = process.env.API_KEY ? { Authorization: `Bearer ${process.env.API_KEY}` } : {};

async function analyze(path) {
  const body = await readFile(path);
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(`${service}/emotion`, { method: "POST", headers, body });
    const wait = response.headers.get("Retry-After");  // with 429 and 503, in seconds
    if (wait === null || attempt === 5) return { response, result: await response.json() };
    await sleep(1000 * wait);
  }
}

for (const path of process.argv.slice(2)) {
  try {
    const { response, result } = await analyze(path);
    if (!response.ok) throw new Error(`${result.detail} (${result.code})`);
    if (result.length === 0) console.log(path, "no face");
    for (const { emotion, confidence, bounding_box } of result)
      console.log(path, emotion, confidence, bounding_box.join(" "));
  } catch (error) {  // fetch has the reason, such as a refused connection, in its cause
    console.error(`${path}: ${error.cause?.message || error.message}`);
    process.exitCode = 1;
  }
}
