// A video, and what each person in it shows over time.

import { analyzeVideo, curlOf } from "./api.js";
import { videoTable } from "./csv.js";
import { element, saveCsv, snippets, withoutSuffix } from "./dom.js";
import { count, paint, percent } from "./emotions.js";
import { paintFaces } from "./paint.js";
import { Timeline, clock, spansOf } from "./timeline.js";

const SUFFIXES = /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|m?ts|3gp|flv|wmv|ogv)$/i;
// A sample is shown for no longer than this, in seconds.
const HOLD_S = 0.5;

export const isVideo = (file) => file.type.startsWith("video/") || SUFFIXES.test(file.name ?? "");

/** Analyzes the video of a card and fills the card as results arrive. Returns a sentence. */
export async function runVideo(card, options) {
  const view = new View(card);
  card.show("uploading", "", 0);
  let summary;
  try {
    await analyzeVideo(card.file, options, card.signal, {
      ...card.progress,
      record: (record) => {
        if (record.summary) summary = record.summary;
        else view.add(record);
      },
    });
  } catch (problem) {
    // What arrived before stays on the page.
    if (!view.samples.length || !card.element.isConnected) throw problem;
    view.end(options);
    problem.samples = view.samples;
    throw problem;
  }
  view.end(options, summary);
  const persons = summary.persons.length;
  const text = `${persons ? count(persons, "person") : "No face found"} in ${clock(summary.seconds)}`;
  card.show("done", summary.cut_off ? `${text}. The video is incomplete or damaged` : text);
  return text;
}

class View {
  constructor(card) {
    Object.assign(this, { card, samples: [] });
    const url = URL.createObjectURL(card.file);
    card.release = () => URL.revokeObjectURL(url);
    this.video = element("video", { src: url, controls: true, muted: true, playsInline: true, preload: "auto" });
    this.video.setAttribute("aria-label", card.name);
    this.overlay = element("canvas");
    this.overlay.setAttribute("aria-hidden", "true");
    this.sheet = element("div", { className: "sheet" }, this.video, this.overlay);
    this.timeline = new Timeline({
      seek: (seconds) => {
        this.video.currentTime = seconds;
        this.show(seconds);
      },
      describe: (seconds) => this.describe(seconds),
    });
    this.moment = element("p", { className: "moment" });
    this.persons = element("ol", { className: "persons" });
    this.ending = element("div");
    card.fill([element("div", { className: "picture" }, this.sheet), this.moment], [this.persons, this.ending]);
    this.#listen();
  }

  #listen() {
    const follow = () => {
      this.show(this.video.currentTime);
      if (!this.video.paused && this.video.isConnected) requestAnimationFrame(follow);
    };
    for (const event of ["play", "seeked", "pause"]) this.video.addEventListener(event, follow);
    // Only the top layer is above a video in full screen: the overlay follows it there.
    this.video.addEventListener("fullscreenchange", () => {
      const full = document.fullscreenElement === this.video;
      this.overlay.popover = full ? "manual" : null;
      if (full) this.overlay.showPopover?.();
    });
    this.video.addEventListener("loadedmetadata", () => (this.timeline.duration = this.video.duration));
    this.video.addEventListener("loadeddata", () => this.card.picture(this.video, this.video.videoWidth, this.video.videoHeight));
    this.video.addEventListener("error", () => {
      const text = "This browser can't play this video. The timeline works without it.";
      this.sheet.replaceWith(element("p", { className: "note" }, text));
    });
  }

  add(sample) {
    if (!this.samples.length) this.card.find(".view").append(this.timeline.element);
    this.samples.push(sample);
    this.timeline.add(sample);
    const total = this.video.duration;
    const fraction = Number.isFinite(total) && total > 0 ? Math.min(1, sample.time_s / total) : null;
    this.card.show("analyzing", fraction === null ? clock(sample.time_s) : `${clock(sample.time_s)} of ${clock(total)}`, fraction);
    if (this.samples.length === 1 || this.video.currentTime >= sample.time_s) this.show(this.video.currentTime);
  }

  /** The sample shown at a time. */
  at(seconds) {
    // Rounded times of the service may lie a little after the frame.
    const sample = this.samples.findLast(({ time_s }) => time_s <= seconds + 0.01);
    return sample && seconds - sample.time_s <= HOLD_S ? sample : undefined;
  }

  describe(seconds) {
    const faces = this.at(seconds)?.faces ?? [];
    const shown = faces.map(({ person, emotion, confidence }) => `person ${person} ${emotion} ${percent(confidence)}`);
    return `${clock(seconds)}: ${shown.join(", ") || "no face"}`;
  }

  show(seconds) {
    const sample = this.at(seconds);
    this.moment.textContent = this.describe(seconds);
    [this.overlay.width, this.overlay.height] = sample?.size ?? [1, 1];
    if (sample) paintFaces(this.overlay.getContext("2d"), sample.faces, ({ person }) => `${person} · `);
    this.timeline.show(seconds);
  }

  /** Shows the persons, and offers the results for programs. */
  end(options, summary) {
    const persons = [...spansOf(this.samples)].map(([person, spans]) => {
      const shares = summary?.persons.find((other) => other.person === person)?.emotions ?? sharesOf(spans);
      return { person, spans, shares: Object.entries(shares) };
    });
    this.persons.replaceChildren(...persons.map((person) => this.#tile(person)));
    this.card.summarize(persons.map(({ shares: [[emotion]] }) => emotion));
    this.card.result = { name: this.card.name, labels: options.labels, samples: this.samples };
    const button = element("button", { type: "button", className: "small" }, "Save CSV");
    button.addEventListener("click", () => saveCsv(videoTable(this.card.result), `${withoutSuffix(this.card.name)}-mien.csv`));
    this.card.find(".tools").replaceChildren(button);
    this.ending.replaceChildren(snippets("JSON and curl", {
      JSON: JSON.stringify(summary ?? this.samples, null, 2),
      curl: curlOf("video", "video", this.card.name, options),
    }));
    this.show(this.video.currentTime);
  }

  #tile({ person, spans, shares }) {
    const [[emotion, share]] = shares;
    const bar = element("span", { className: "stack" }, ...shares.map(([name, part]) => {
      const piece = element("span", { title: name });
      piece.style.width = `${100 * part}%`;
      paint(piece, name);
      return piece;
    }));
    const [from, to] = [spans[0].from, spans.at(-1).to];
    const tile = element("button", { type: "button", className: "person" },
      element("span", { className: "who" }, `Person ${person}`),
      element("span", { className: "mostly" }, share > 0.995 ? `${emotion} all the time` : `${emotion} ${percent(share)} of the time`),
      bar,
      element("span", { className: "when" }, `${clock(from)} to ${clock(to)}`));
    tile.addEventListener("click", () => this.timeline.seek(from));
    return element("li", {}, tile);
  }
}

/** The fraction of the time of each emotion, largest first. */
function sharesOf(spans) {
  const shares = {};
  for (const { emotion, from, to } of spans) shares[emotion] = (shares[emotion] ?? 0) + to - from;
  const whole = Object.values(shares).reduce((sum, part) => sum + part, 0) || 1;
  return Object.fromEntries(Object.entries(shares).sort(([, a], [, b]) => b - a).map(([name, part]) => [name, part / whole]));
}
