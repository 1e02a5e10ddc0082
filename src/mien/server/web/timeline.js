// A timeline of a video: a row for each person, the emotions from left to right.

import { chip, element } from "./dom.js";
import { paint } from "./emotions.js";

// A face that is missing in a single sample counts as present, as in the service's summary.
const LARGEST_GAP = 1.5;
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];
const TICKS = 6;
const KEYS = { ArrowLeft: -0.5, ArrowRight: 0.5, ArrowDown: -0.5, ArrowUp: 0.5, PageDown: -5, PageUp: 5 };

/** Returns the spans of each person: a Map of person to [{emotion, from, to}], in seconds. */
export function spansOf(samples) {
  const persons = new Map();
  let step = 0.1;
  samples.forEach(({ time_s: from, faces }, index) => {
    const next = samples[index + 1]?.time_s;
    const to = next ?? from + step;
    for (const { person, emotion } of faces) {
      const spans = persons.get(person) ?? [];
      persons.set(person, spans);
      const last = spans.at(-1);
      if (last && from - last.to < step * LARGEST_GAP) last.to = from;
      if (last?.to === from && last.emotion === emotion) last.to = to;
      else spans.push({ emotion, from, to });
    }
    if (next) step = next - from;
  });
  return new Map([...persons].sort(([a], [b]) => a - b));
}

export class Timeline {
  /** seek: called with seconds; describe: returns the text for a time in seconds. */
  constructor({ seek, describe }) {
    Object.assign(this, { seek, describe, samples: [], seconds: 0, time: 0, drawing: 0 });
    this.names = element("div", { className: "names" });
    this.tracks = element("div", { className: "tracks" });
    this.playhead = element("div", { className: "playhead" });
    this.scrub = element("div", { className: "scrub", tabIndex: 0 }, this.tracks, this.playhead);
    this.axis = element("div", { className: "axis" });
    this.axis.setAttribute("aria-hidden", "true");
    this.legend = element("p", { className: "legend" });
    this.element = element("div", { className: "timeline" }, this.legend, this.names, this.scrub, this.axis);
    this.scrub.setAttribute("role", "slider");
    this.scrub.setAttribute("aria-label", "Position in the video");
    this.scrub.setAttribute("aria-valuemin", 0);
    this.#listen();
    this.show(0);
    this.#draw();
  }

  add(sample) {
    this.samples.push(sample);
    this.#redraw();
  }

  /** Sets the length of the time axis, where the browser knows it. */
  set duration(seconds) {
    this.known = Number.isFinite(seconds) ? seconds : 0;
    this.#redraw();
  }

  /** Moves the playhead. */
  show(time) {
    this.time = time;
    this.playhead.style.left = `${(100 * Math.min(time, this.seconds)) / (this.seconds || 1)}%`;
    this.scrub.setAttribute("aria-valuenow", time.toFixed(1));
    this.scrub.setAttribute("aria-valuetext", this.describe(time));
  }

  #listen() {
    const go = ({ clientX }) => {
      const { left, width } = this.scrub.getBoundingClientRect();
      this.#go(((clientX - left) / width) * this.seconds);
    };
    this.scrub.addEventListener("pointerdown", (event) => {
      this.scrub.setPointerCapture(event.pointerId);
      go(event);
    });
    this.scrub.addEventListener("pointermove", (event) => {
      if (this.scrub.hasPointerCapture(event.pointerId)) go(event);
    });
    this.scrub.addEventListener("keydown", (event) => {
      const to = { Home: 0, End: this.seconds }[event.key] ?? this.time + (KEYS[event.key] ?? NaN);
      if (Number.isNaN(to)) return;
      event.preventDefault();
      this.#go(to);
    });
  }

  #go(time) {
    const inside = Math.max(0, Math.min(time, this.seconds));
    this.show(inside);
    this.seek(inside);
  }

  /** Draws once per frame of the screen, however many samples arrive. */
  #redraw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const spans = spansOf(this.samples);
    const ends = [...spans.values()].map((own) => own.at(-1).to);
    this.seconds = Math.max(this.known || 0, this.samples.at(-1)?.time_s ?? 0, this.known ? 0 : Math.max(0, ...ends));
    const part = (seconds) => `${(100 * seconds) / (this.seconds || 1)}%`;
    this.names.replaceChildren(...[...spans.keys()].map((person) => element("div", {}, `Person ${person}`)));
    this.tracks.replaceChildren(...[...spans.values()].map((own) => element("div", { className: "track" },
      ...own.map(({ emotion, from, to }) => {
        const span = element("div", { className: "span", title: emotion }, element("span", {}, emotion));
        paint(span, emotion);
        Object.assign(span.style, { left: part(from), width: part(Math.min(to, this.seconds) - from) });
        return span;
      }))));
    const emotions = new Set([...spans.values()].flat().map(({ emotion }) => emotion));
    this.legend.replaceChildren(...[...emotions].map((emotion) => chip(emotion)));
    this.axis.replaceChildren(...ticksOf(this.seconds).map((seconds) => {
      const tick = element("span", {}, clock(seconds));
      tick.style.left = part(seconds);
      return tick;
    }));
    this.scrub.setAttribute("aria-valuemax", this.seconds.toFixed(1));
    this.show(this.time);
  }
}

function ticksOf(seconds) {
  const step = STEPS_S.find((candidate) => candidate >= seconds / TICKS) ?? 600;
  return Array.from({ length: Math.floor(seconds / step + 1e-6) + 1 }, (_, index) => Number((index * step).toFixed(1)));
}

/** Seconds as 1.5 s, or as 2:05 from a minute on. */
export function clock(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
