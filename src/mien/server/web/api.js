// Requests to the service.

export class Problem extends Error {
  constructor(code, detail = "", retryAfter = 0) {
    super(code);
    Object.assign(this, { code, detail, retryAfter });
  }
}

const ATTEMPTS = 4;
// What a header can carry.
const KEY = /^[\x21-\x7e]+$/;

function checkKey({ key }) {
  if (key && !KEY.test(key)) throw new Problem("invalid_key");
}

/** The query string of the chosen options. */
export function queryOf({ labels, minFaceSize, upright }) {
  const query = new URLSearchParams({ include: "scores,quality" });
  if (labels !== "six") query.set("labels", labels);
  if (minFaceSize) query.set("min_face_size", minFaceSize);
  if (upright) query.set("upright", "auto");
  return query.toString().replaceAll("%2C", ",");
}

/**
 * Sends a photo. Returns {faces, timings}.
 * on: callbacks, all of them called with a number: uploaded (fraction), busy (seconds to wait).
 */
export async function analyzePhoto(file, options, signal, on) {
  const request = await retried(() => post("emotion", "image", file, options, signal, on), signal, on);
  return { faces: JSON.parse(request.responseText), timings: timingsOf(request) };
}

/** Sends a video. Calls on.record with each record of the response; the last one is the summary. */
export async function analyzeVideo(file, options, signal, on) {
  let read = 0, ended = false;
  const receive = (text) => {
    const end = text.lastIndexOf("\n") + 1;
    if (end <= read) return;
    for (const line of text.slice(read, end).split("\n")) {
      if (!line) continue;
      const record = JSON.parse(line);
      if (record.error) throw new Problem(record.error.code, record.error.message);
      ended ||= Boolean(record.summary);
      on.record(record);
    }
    read = end;
  };
  await retried(() => post("video", "video", file, options, signal, { ...on, text: receive }), signal, on);
  if (!ended) throw new Problem("unreachable");
}

/** Opens the WebSocket of a live view. */
export function liveSocket({ labels, key }) {
  checkKey({ key });
  const address = new URL(`live?${new URLSearchParams({ smooth: "true", labels })}`, document.baseURI);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  // Scripts can't set headers of a WebSocket, so the key is sent as a subprotocol, which allows fewer characters.
  const encoded = encodeURIComponent(key).replaceAll("(", "%28").replaceAll(")", "%29");
  return new WebSocket(address, key ? ["mien", `key.${encoded}`] : ["mien"]);
}

/** Repeats a request for as long as the service asks for it with Retry-After. */
async function retried(attempt, signal, on) {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (problem) {
      if (!problem.retryAfter || count === ATTEMPTS) throw problem;
      on.busy(problem.retryAfter);
      await pause(problem.retryAfter * 1000, signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((done, fail) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      fail(new Problem("cancelled"));
    });
  });
}

/** fetch does not report the progress of an upload. */
function post(path, field, file, options, signal, on) {
  const body = new FormData();
  body.append(field, file, field); // the file's name is not sent
  const request = new XMLHttpRequest();
  checkKey(options);
  return new Promise((done, fail) => {
    const receive = () => {
      try {
        if (request.status === 200) on.text?.(request.responseText);
        return true;
      } catch (problem) {
        fail(problem);
        request.abort();
        return false;
      }
    };
    request.open("POST", `${path}?${queryOf(options)}`);
    if (options.key) request.setRequestHeader("Authorization", `Bearer ${options.key}`);
    request.upload.onprogress = ({ loaded, total }) => on.uploaded(total ? loaded / total : 0);
    request.upload.onload = () => on.uploaded(1);
    request.onprogress = receive;
    request.onload = () => {
      if (request.status !== 200) fail(problemOf(request));
      else if (receive()) done(request);
    };
    request.onerror = async () => fail(new Problem((await canBeRead(file)) ? "unreachable" : "unreadable_file"));
    request.onabort = () => fail(new Problem("cancelled"));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) fail(new Problem("cancelled"));
    else request.send(body);
  });
}

/** Browsers report an unreadable file as a failure of the network. */
const canBeRead = (file) => file.slice(0, 1).arrayBuffer().then(() => true, () => false);

function problemOf(request) {
  const retryAfter = Number(request.getResponseHeader("Retry-After")) || 0;
  try {
    const { code, detail } = JSON.parse(request.responseText);
    return new Problem(code, detail, retryAfter);
  } catch {
    // Not a response of the service: a proxy's, for example.
    const tooLarge = request.status === 413;
    return new Problem(tooLarge ? "upload_too_large" : "internal_error", "", retryAfter);
  }
}

function timingsOf(request) {
  const stages = (request.getResponseHeader("Server-Timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g);
  return Object.fromEntries([...stages].map(([, name, ms]) => [name, Number(ms)]));
}

/** The same request as a command for a shell. */
export function curlOf(path, field, name, options) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = options.key ? ` -H "Authorization: Bearer $MIEN_KEY"` : "";
  const url = `${new URL(path, document.baseURI)}?${queryOf(options)}`;
  return `curl${key} -F ${quoted(`${field}=@${name}`)} ${quoted(url)}`;
}
