// The camera: takes a photo, or sends its frames to WS /live.

import { liveSocket } from "./api.js";
import { COLORS, messageOf } from "./emotions.js";
import { paintFaces } from "./paint.js";

const FRAME_PX = 640;
const QUALITY = 0.8;
// One frame is sent while another is analyzed.
const AT_ONCE = 2;
const HISTORY_S = 30;
const ROW_PX = 26;
const ANNOUNCE_EVERY_MS = 3000;
// For browsers that do not say when the camera has a new frame.
const FRAME_MS = 40;

/** Opens and closes the camera. options: returns the chosen options; changed: called if it was opened or closed. */
export class Camera {
  constructor({ options, status, changed, onPhoto }) {
    Object.assign(this, { options, status, changed, onPhoto, stream: null, cameras: [], opening: false, live: null });
    this.section = document.getElementById("live");
    this.video = document.getElementById("camera-view");
    this.toggle = document.getElementById("live-toggle");
    this.toggle.addEventListener("click", () => (this.live ? this.stopLive() : this.goLive()));
    document.getElementById("shoot").addEventListener("click", () => this.shoot());
    this.switcher = document.getElementById("camera-switch");
    this.switcher.addEventListener("click", () => this.#switch());
    document.getElementById("camera-close").addEventListener("click", () => {
      this.close();
      this.status("The camera is off.");
    });
  }

  async open() {
    if (this.stream) return;
    if (!navigator.mediaDevices) {
      this.status("Browsers allow the camera only on HTTPS and on localhost.", { bad: true });
      return;
    }
    if (!(await this.#start({ facingMode: "user" }))) return;
    this.changed();
    this.section.scrollIntoView({ block: "nearest" });
    this.status("The camera is on. Nothing is sent until you take a photo or go live.");
  }

  /** Continues with the camera on the other side, or else with the next one. */
  async #switch() {
    if (this.opening) return;
    const { facingMode, deviceId } = this.#settings;
    const next = this.cameras[(this.cameras.findIndex((camera) => camera.deviceId === deviceId) + 1) % this.cameras.length];
    const wanted = facingMode ? { facingMode: facingMode === "user" ? "environment" : "user" } : { deviceId: { exact: next.deviceId } };
    this.#end(); // phones open only one camera at a time
    if (!(await this.#start(wanted))) this.close();
  }

  /** Opens a camera and shows it. Returns true if it could. */
  async #start(wanted) {
    // A second click while the camera opens would open it twice, and close it once.
    if (this.opening) return false;
    this.opening = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, width: { ideal: 1280 } } });
      this.cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
      if (!this.opening) return this.#end(); // closed meanwhile
    } catch (error) {
      const words = { NotAllowedError: "The camera is blocked. Allow it in the browser's settings of this site.", NotFoundError: "No camera was found." };
      this.status(words[error.name] ?? "The camera can't be opened. Another program may be using it.", { bad: true });
      return false;
    } finally {
      this.opening = false;
    }
    this.section.hidden = false;
    this.switcher.hidden = this.cameras.length < 2;
    // As in a mirror, unless the camera looks away from the person.
    this.video.classList.toggle("mirrored", this.#settings.facingMode !== "environment");
    this.video.srcObject = this.stream;
    await this.video.play();
    return true;
  }

  get #settings() {
    return this.stream.getVideoTracks()[0].getSettings();
  }

  #end() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }

  close() {
    this.stopLive();
    this.#end();
    this.opening = false;
    this.video.srcObject = null;
    this.section.hidden = true;
    this.changed();
  }

  shoot() {
    const canvas = frameOf(this.video, Infinity);
    canvas.toBlob((blob) => this.onPhoto(new File([blob], "camera.jpg", { type: blob.type })), "image/jpeg", 0.92);
  }

  goLive() {
    try {
      this.live = new Live(this.video, this.options(), this.status, () => this.stopLive());
    } catch (problem) {
      this.status(messageOf(problem), { bad: true });
      return;
    }
    this.#show(true);
  }

  stopLive() {
    this.live?.stop();
    this.live = null;
    this.#show(false);
  }

  #show(on) {
    this.toggle.classList.toggle("primary", on);
    this.toggle.textContent = on ? "Stop" : "Go live";
    document.getElementById("history").hidden = !on;
    document.getElementById("pace").textContent = "";
  }
}

class Live {
  constructor(video, options, status, ended) {
    Object.assign(this, { video, status, ended, inFlight: 0, times: [], history: [], announced: "", announcedAt: 0, stopped: false });
    this.overlay = document.getElementById("overlay");
    this.timeline = document.getElementById("timeline");
    this.socket = liveSocket(options);
    this.socket.onopen = () => this.#onFrame();
    this.socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.#closed(code);
    status("Live: connecting…");
  }

  stop() {
    this.stopped = true;
    this.socket.close();
    this.overlay.getContext("2d").clearRect(0, 0, this.overlay.width, this.overlay.height);
  }

  /** Sends each new frame of the camera that the service has time for, until the end. */
  #onFrame() {
    if (this.stopped || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.inFlight < AT_ONCE && !document.hidden) this.#send();
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(() => this.#onFrame());
    else setTimeout(() => this.#onFrame(), FRAME_MS);
  }

  #send() {
    this.inFlight++;
    const canvas = frameOf(this.video, FRAME_PX);
    canvas.toBlob((blob) => {
      // null until the video has its first frame.
      if (blob && this.socket.readyState === WebSocket.OPEN) this.socket.send(blob);
      else this.inFlight--;
    }, "image/jpeg", QUALITY);
  }

  #receive(message) {
    this.inFlight = Math.max(0, this.inFlight - 1 - (message.dropped ?? 0));
    if (this.stopped) return;
    if (message.error) {
      const { code, message: detail } = message.error;
      this.#announce(messageOf({ code, detail }), true);
      return;
    }
    const now = performance.now();
    this.times = [...this.times.filter((time) => now - time < 2000), now];
    this.history = [...this.history.filter(({ at }) => now - at < HISTORY_S * 1000), { at: now, faces: message.faces }];
    this.#draw(message);
    drawTimeline(this.timeline, this.history, now);
    const rate = this.times.length > 1 ? (1000 * (this.times.length - 1)) / (now - this.times[0]) : 0;
    document.getElementById("pace").textContent = `${rate.toFixed(1)} frames/s`;
    if (now - this.announcedAt > ANNOUNCE_EVERY_MS) {
      this.announcedAt = now;
      this.#announce(message.faces.length ? `Live: ${message.faces.map(({ emotion }) => emotion).join(", ")}` : "Live: no face");
    }
  }

  /** Screen readers read every text that is set, even if it is the same. */
  #announce(text, bad = false) {
    if (text !== this.announced) this.status(text, { bad });
    this.announced = text;
  }

  #draw({ size, faces }) {
    [this.overlay.width, this.overlay.height] = size;
    const mirrored = ({ bounding_box: [x, ...others], ...face }) => ({ ...face, bounding_box: [size[0] - x - others[1], ...others] });
    const shown = this.video.matches(".mirrored") ? faces.map(mirrored) : faces;
    paintFaces(this.overlay.getContext("2d"), shown, ({ person }) => `${person} · `);
  }

  #closed(code) {
    if (this.stopped) return;
    // A refused handshake has no code of its own.
    const why = { 1006: "The live view was refused or interrupted. It may need an API key, or too many are open.",
                  1001: "The live view has ended because it was paused for too long.",
                  1009: "A frame of the camera was too large.", 1012: "The service is restarting." };
    this.status(why[code] ?? "The live view has ended.", { bad: true });
    this.ended();
  }
}

function frameOf(video, largest) {
  const scale = Math.min(1, largest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function drawTimeline(canvas, history, now) {
  const people = [...new Set(history.flatMap(({ faces }) => faces.map(({ person }) => person)))].sort((a, b) => a - b);
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  [canvas.width, canvas.height] = [width * ratio, Math.max(1, people.length) * ROW_PX * ratio];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const left = 24;
  const x = (at) => left + (width - left) * (1 - (now - at) / (HISTORY_S * 1000));
  people.forEach((person, row) => {
    context.fillStyle = getComputedStyle(canvas).color;
    context.fillText(person, 2, (row + 0.5) * ROW_PX);
    history.forEach(({ at, faces }, index) => {
      const face = faces.find((candidate) => candidate.person === person);
      if (!face) return;
      const end = history[index + 1]?.at ?? now;
      context.fillStyle = COLORS[face.emotion];
      context.fillRect(x(at), row * ROW_PX + 3, Math.max(x(Math.min(end, at + 1000)) - x(at), 0.75) + 0.5, ROW_PX - 6);
    });
  });
}
