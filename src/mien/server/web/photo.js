// One photo and what was read off it.

import { analyze, curlOf } from "./api.js";
import { COLOURS, ink, percent, tell } from "./emotions.js";
import { paintFaces } from "./paint.js";

// More than any screen shows; the file itself is what is sent.
const SHOWN_PX = 1600;
const CROWD = 12;
// Half the height that the model reads, and what three of four heavily blurred faces stay below.
const LEAST_PX = 24, LEAST_SHARPNESS = 8;

/** Adds a card for a file, asks the service, and fills the card. Gives how many faces there are. */
export async function addPhoto(file, options, results) {
  const card = document.getElementById("photo").content.firstElementChild.cloneNode(true);
  const find = (selector) => card.querySelector(selector);
  const name = file.name || "photo.jpg";
  find("h2").textContent = name;
  find(".remove").addEventListener("click", () => card.remove());
  results.prepend(card);
  const state = (words, bad = false) => {
    find(".state").textContent = words;
    find(".state").classList.toggle("bad", bad);
  };
  state("Reading…");
  const picture = decode(file);
  const showing = picture.then((bitmap) => show(bitmap, find(".picture canvas"), name), () => find(".picture").remove());
  try {
    const answer = await analyze(file, options, (seconds) => state(`The service is busy; again in ${seconds} s…`));
    await showing;
    const { faces, timings } = answer;
    state(faces.length === 0 ? "No face was found." : faces.length === 1 ? "1 face" : `${faces.length} faces`);
    fill(card, faces, await picture.catch(() => null));
    find(".timings").textContent = wordsOf(timings);
    const json = jsonOf(faces);
    offer(find(".json"), find(".copy-json"), json);
    offer(find(".curl"), find(".copy-curl"), curlOf(name, options));
    find(".code").hidden = false;
    return faces.length;
  } catch (problem) {
    if (!problem.code) throw problem;
    state(tell(problem), true);
    card.dataset.code = problem.code;
    if (problem.code === "unauthorized") document.getElementById("options").open = true;
    throw problem;
  } finally {
    card.setAttribute("aria-busy", "false");
  }
}

function decode(file) {
  return createImageBitmap(file, { imageOrientation: "from-image" });
}

function show(bitmap, canvas, name) {
  const scale = Math.min(1, SHOWN_PX / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
}

function fill(card, faces, bitmap) {
  const items = faces.map((face, index) => item(face, index));
  card.querySelector(".faces").append(...items);
  if (!bitmap) return;
  const sheet = document.createElement("div");
  sheet.className = faces.length > CROWD ? "sheet crowded" : "sheet";
  const canvas = card.querySelector(".picture canvas");
  canvas.replaceWith(sheet);
  const boxes = faces.map((face, index) => box(face, index, bitmap));
  sheet.append(canvas, ...boxes);
  faces.forEach((_, index) => link(items[index], boxes[index]));
  const save = card.querySelector(".download");
  save.hidden = faces.length === 0;
  save.addEventListener("click", () => download(bitmap, faces, card.querySelector("h2").textContent));
}

function item(face, index) {
  const element = document.createElement("li");
  element.className = "face";
  element.tabIndex = 0;
  element.style.setProperty("--hue", COLOURS[face.emotion]);
  const title = document.createElement("h3");
  title.append(span(face.emotion), span(percent(face.confidence)));
  const bars = document.createElement("dl");
  bars.className = "bars";
  for (const [emotion, share] of Object.entries(face.scores)) bars.append(...bar(emotion, share));
  element.append(title, bars, ...doubt(face.quality));
  element.setAttribute("aria-label", `Face ${index + 1}: ${face.emotion}, ${percent(face.confidence)}`);
  return element;
}

/** A note on a face that is too small or blurred to be read; the style greys out its entry. */
function doubt({ height, sharpness }) {
  if (height >= LEAST_PX && sharpness >= LEAST_SHARPNESS) return [];
  const note = document.createElement("p");
  note.className = "doubt";
  note.textContent = `Too ${height < LEAST_PX ? "small" : "blurred"} to be read reliably.`;
  return [note];
}

function bar(emotion, share) {
  const name = document.createElement("dt");
  name.textContent = emotion;
  const value = document.createElement("dd");
  const track = document.createElement("div");
  const fill = document.createElement("div");
  track.className = "track";
  fill.className = "fill";
  fill.style.width = `${share * 100}%`;
  fill.style.setProperty("--hue", COLOURS[emotion]);
  track.append(fill);
  value.append(track);
  const shown = document.createElement("dd");
  shown.className = "share";
  shown.textContent = percent(share);
  return [name, value, shown];
}

function box(face, index, { width, height }) {
  const [x, y, w, h] = face.bounding_box;
  const element = document.createElement("button");
  element.type = "button";
  element.className = "box";
  element.classList.toggle("low", y < height * 0.06);
  element.classList.toggle("right", x + w / 2 > width * 0.7);
  Object.assign(element.style, {
    left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`,
    width: `${(100 * w) / width}%`, height: `${(100 * h) / height}%`,
  });
  element.style.setProperty("--hue", COLOURS[face.emotion]);
  element.style.setProperty("--on-hue", ink(face.emotion));
  element.setAttribute("aria-label", `Face ${index + 1}: ${face.emotion}, ${percent(face.confidence)}`);
  element.append(span(face.emotion));
  return element;
}

/** Lets an entry of the list and its box light up together, by pointer or keyboard. */
function link(item, box) {
  const both = [item, box];
  const light = (on) => both.forEach((element) => element.classList.toggle("on", on));
  for (const element of both) {
    element.addEventListener("pointerenter", () => light(true));
    element.addEventListener("pointerleave", () => light(both.includes(document.activeElement)));
    element.addEventListener("focus", () => light(true));
    element.addEventListener("blur", () => light(false));
  }
  box.addEventListener("click", () => item.scrollIntoView({ block: "nearest" }));
  box.addEventListener("focus", () => scrollInto(item));
}

/** Scrolls the list of faces, not the page. */
function scrollInto(item) {
  const list = item.parentElement;
  list.scrollTop = item.offsetTop - list.offsetTop;
}

function offer(place, button, text) {
  place.textContent = text;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = await copy(text, place);
    setTimeout(() => (button.textContent = label), 1500);
  });
}

async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    // No clipboard without HTTPS: it is selected, ready for the keyboard.
    getSelection().selectAllChildren(place);
    return "Press Ctrl+C";
  }
}

function download(bitmap, faces, name) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  paintFaces(context, faces);
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name.replace(/\.[^.]*$/, "")}-mien.jpg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/jpeg", 0.92);
}

function jsonOf(faces) {
  // A face a line: what the service sent, easier to read.
  return faces.length ? `[\n${faces.map((face) => `  ${JSON.stringify(face)}`).join(",\n")}\n]` : "[]";
}

function wordsOf(timings) {
  const worked = ["decode", "detect", "classify"].map((stage) => `${stage} ${timings[stage] ?? 0} ms`);
  return `${worked.join(" · ")}${timings.queue >= 1 ? ` · waited ${timings.queue} ms` : ""}`;
}

function span(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}
