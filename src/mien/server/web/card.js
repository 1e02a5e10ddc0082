// A file on the page: its name, its state and its place in the queue.

import { chip, element } from "./dom.js";
import { LASTING, messageOf } from "./emotions.js";

const BUSY = ["waiting", "uploading", "analyzing"];
const MARKS = { waiting: "Waiting", uploading: "Uploading", analyzing: "Analyzing", done: "Done", failed: "Failed" };

const THUMB_PX = 96;

export class Card {
  /**
   * hooks: changed(), retry(card), removed(card).
   * Attributes: result: {name, labels, width, height, faces} of a photo, {name, labels, samples} of a
   * video or {name, labels, problem}, once there is one; options: those of its analysis; overrides:
   * options that a retry adds to the chosen ones.
   */
  constructor(file, hooks) {
    this.file = file;
    this.name = file.name || "photo.jpg";
    this.hooks = hooks;
    this.overrides = {};
    this.controller = new AbortController();
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find(".fold").textContent = this.name;
    this.find(".fold").addEventListener("click", () => {
      this.fold(!this.folded);
      this.hooks.changed();
    });
    this.find(".remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.find(".remove").addEventListener("click", () => this.remove());
    this.find(".retry").addEventListener("click", () => this.retry());
    this.show("waiting");
  }

  get signal() {
    return this.controller.signal;
  }

  get busy() {
    return BUSY.includes(this.state);
  }

  /** Whether another try may help. */
  get retryable() {
    return this.state === "failed" && !LASTING.has(this.result.problem.code);
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  /** Changes the state. text: more about it; fraction: progress from 0 to 1. */
  show(state, text = "", fraction = null) {
    this.state = state;
    this.element.dataset.state = state;
    this.element.setAttribute("aria-busy", this.busy);
    this.find(".mark").textContent = MARKS[state];
    this.find(".state").textContent = text;
    this.find(".retry").hidden = !this.retryable;
    this.find(".fold").disabled = !this.find(".body").hasChildNodes();
    const bar = this.find("progress");
    bar.hidden = state !== "uploading" && state !== "analyzing";
    if (fraction === null) bar.removeAttribute("value");
    else bar.value = fraction;
    this.hooks.changed();
  }

  get folded() {
    return this.element.classList.contains("folded");
  }

  /** Hides or shows everything but the name and a summary. */
  fold(on) {
    if (on && this.find(".body").contains(document.activeElement)) this.find(".fold").focus({ preventScroll: true });
    this.element.classList.toggle("folded", on);
    this.find(".fold").setAttribute("aria-expanded", !on);
  }

  /** Sets the emotions that a folded card shows. emotions: one of each face or person. */
  summarize(emotions) {
    const counts = {};
    for (const emotion of emotions) counts[emotion] = (counts[emotion] ?? 0) + 1;
    const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
    this.find(".chips").replaceChildren(...sorted.map(([emotion, number]) => chip(emotion, number > 1 ? `${number} ${emotion}` : emotion)));
  }

  /** Sets the small image that a folded card shows. */
  picture(image, width = image.width, height = image.height) {
    const side = Math.min(width, height);
    const thumb = Object.assign(this.find(".thumb"), { width: THUMB_PX, height: THUMB_PX });
    // A little above the middle, where faces are.
    thumb.getContext("2d").drawImage(image, (width - side) / 2, (height - side) / 4, side, side, 0, 0, THUMB_PX, THUMB_PX);
  }

  /** Callbacks for the progress of a request. */
  get progress() {
    return {
      uploaded: (fraction) => (fraction < 1 ? this.show("uploading", `${Math.round(fraction * 100)} %`, fraction) : this.show("analyzing")),
      busy: (seconds) => this.show("waiting", `The service is busy. Next try in ${seconds} s`),
    };
  }

  /** Shows elements in two columns, in place of what was there. */
  fill(view, reading = []) {
    this.find(".body").replaceChildren(
      ...(view.length ? [element("div", { className: "view" }, ...view)] : []),
      ...(reading.length ? [element("div", { className: "reading" }, ...reading)] : []),
    );
  }

  fail(problem, labels) {
    const { code, samples } = problem;
    this.result = { name: this.name, labels, samples, problem: { code, detail: problem.detail || messageOf(problem) } };
    this.element.dataset.code = code;
    // Of a video, what arrived before the problem stays.
    if (!samples) this.find(".body").replaceChildren();
    this.show("failed", messageOf(problem));
  }

  /** Puts the file into the queue again. overrides: options for this file. */
  retry(overrides = {}) {
    Object.assign(this.overrides, overrides);
    const focused = this.element.contains(document.activeElement);
    this.release();
    this.result = null;
    delete this.element.dataset.code;
    for (const part of [".chips", ".tools"]) this.find(part).replaceChildren();
    this.find(".body").replaceChildren();
    this.show("waiting");
    if (focused) this.focus(); // the button that had the focus is gone
    this.hooks.retry(this);
  }

  focus() {
    this.element.tabIndex = -1;
    this.element.focus();
  }

  remove() {
    this.controller.abort();
    this.release();
    this.element.remove();
    this.hooks.removed(this);
  }

  /** Frees what the page holds of the file; videos replace it. */
  release() {}
}
