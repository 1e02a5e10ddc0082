// The service, as this page asks it.

export class Problem extends Error {
  constructor(code, detail = "", retryAfter = 0) {
    super(code);
    Object.assign(this, { code, detail, retryAfter });
  }
}

const TRIES = 4;

/** The query of the chosen options. */
export function queryOf({ labels, minFaceSize }) {
  const query = new URLSearchParams({ include: "scores,quality" });
  if (labels !== "six") query.set("labels", labels);
  if (minFaceSize) query.set("min_face_size", minFaceSize);
  return query.toString().replaceAll("%2C", ",");
}

/**
 * Sends one file; gives {faces, timings, text}. A busy service is asked again when it says so.
 * waiting: told of the seconds until then.
 */
export async function analyze(file, options, waiting) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptOnce(file, options);
    } catch (problem) {
      if (!problem.retryAfter || attempt === TRIES) throw problem;
      waiting(problem.retryAfter);
      await new Promise((done) => setTimeout(done, problem.retryAfter * 1000));
    }
  }
}

async function attemptOnce(file, options) {
  const body = new FormData();
  body.append("image", file, "photo"); // its name stays here
  const headers = options.key ? { Authorization: `Bearer ${options.key}` } : {};
  let response, text;
  try {
    response = await fetch(`emotion?${queryOf(options)}`, { method: "POST", body, headers });
    text = await response.text();
  } catch {
    throw new Problem("unreachable");
  }
  if (!response.ok) throw problemOf(response, text);
  return { faces: JSON.parse(text), timings: timingsOf(response) };
}

function problemOf(response, text) {
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  try {
    const { code, detail } = JSON.parse(text);
    return new Problem(code, detail, retryAfter);
  } catch {
    // Not the service's own words: something stands between.
    return new Problem("internal_error", "", retryAfter);
  }
}

function timingsOf(response) {
  const stages = (response.headers.get("Server-Timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g);
  return Object.fromEntries([...stages].map(([, name, ms]) => [name, Number(ms)]));
}

/** The same request as a line for a shell. */
export function curlOf(name, options) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = options.key ? ` -H "Authorization: Bearer $MIEN_KEY"` : "";
  return `curl${key} -F ${quoted(`image=@${name}`)} ${quoted(`${new URL("emotion", document.baseURI)}?${queryOf(options)}`)}`;
}
