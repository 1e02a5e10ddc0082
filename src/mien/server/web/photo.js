// A photo and the faces in it.

import { analyzePhoto, curlOf } from "./api.js";
import { element, save, snippets, withoutSuffix } from "./dom.js";
import { MESSAGES, count, paint, percent } from "./emotions.js";
import { placeLabels } from "./labels.js";
import { paintFaces } from "./paint.js";

// More than any screen shows; the file itself is what is sent.
const SHOWN_PX = 1600;
// Small photos are enlarged, but not beyond this.
const ENLARGED = 2;
const THUMB_PX = 88;
// The context around a face in its thumbnail.
const THUMB_MARGIN = 0.25;
// The smallest faces to offer when none is found, in pixels.
const SMALLER_PX = [20, 12];
// Photos wider than this stand above their faces, not beside them.
const WIDE = 1.6;
// Faces below are too small or too blurred for the model: half the height that it reads, and a
// sharpness that only heavily blurred faces have. Sharpness is the variance of the Laplacian: it is
// compared with the variance of the brightness, which falls by as much in a dark photo.
const LEAST_PX = 24;
const LEAST_SHARPNESS = 0.004;
// The variance that rounding to whole numbers adds: 1/12, times the sum of the squares of the kernel.
const ROUNDING = 20 / 12;

/** Analyzes the photo of a card and fills the card. Returns a sentence about the result. */
export async function runPhoto(card, options) {
  card.show("uploading", "", 0);
  const decoding = decode(card.file).catch(() => null);
  decoding.then((bitmap) => {
    if (!bitmap || !card.busy) return;
    card.fill([pictureOf(sheetOf(bitmap, card.name))]);
    card.picture(bitmap);
  });
  try {
    const { faces, timings } = await analyzePhoto(card.file, options, card.signal, card.progress);
    return showResult(card, options, faces, timings, await decoding);
  } finally {
    // Four bytes per pixel: the page keeps only what it shows.
    decoding.then((bitmap) => bitmap?.close());
  }
}

const decode = (file) => createImageBitmap(file, { imageOrientation: "from-image" });

function showResult(card, options, faces, timings, bitmap) {
  const found = faces.length ? count(faces.length, "face") : "No face found";
  card.result = { name: card.name, labels: options.labels, width: bitmap?.width, height: bitmap?.height, faces };
  card.element.classList.toggle("wide", faces.length > 0 && bitmap?.width > WIDE * bitmap?.height);
  const texts = { JSON: jsonOf(faces), curl: curlOf("emotion", "image", card.name, options) };
  const ending = [
    element("p", { className: "timings" }, timingText(timings)),
    snippets("JSON and curl", texts),
  ];
  if (!bitmap) ending.unshift(element("p", { className: "note" }, "This browser can't display this image."));
  const turn = faces[0]?.turn;
  if (turn) ending.unshift(element("p", { className: "note turned" }, `The photo was turned by ${turn} degrees to read its faces.`));
  if (faces.length) showFaces(card, faces, bitmap, ending);
  else card.fill(bitmap ? [pictureOf(sheetOf(bitmap, card.name))] : [], [suggestions(card, options), ...ending]);
  card.summarize(faces.map(({ emotion }) => emotion));
  card.show("done", found);
  return found;
}

function showFaces(card, faces, bitmap, ending) {
  const view = viewOf(faces, bitmap);
  const sheet = bitmap && sheetOf(bitmap, card.name);
  card.fill(sheet ? [pictureOf(sheet)] : [], [view.list, view.detail, ...ending]);
  if (sheet) addBoxes(view, sheet, bitmap);
  view.select(0);
  if (!bitmap) return;
  const button = element("button", { type: "button", className: "small" }, "Save annotated");
  button.addEventListener("click", async () => {
    try {
      await saveAnnotated(card.file, faces, card.name);
    } catch {
      card.show("done", MESSAGES.unreadable_file);
    }
  });
  card.find(".tools").replaceChildren(button);
}

/** Builds the tiles of the faces and the panel with all scores of the selected one. */
function viewOf(faces, bitmap) {
  const list = element("ol", { className: "faces" });
  const detail = element("div", { className: "detail" });
  const view = { faces, list, detail, boxes: [], tags: [] };
  view.tiles = faces.map((face, index) => tileOf(face, index, bitmap));
  list.append(...view.tiles.map((tile) => element("li", {}, tile)));
  const parts = (index) => [view.tiles[index], view.boxes[index], view.tags[index]].filter(Boolean);
  view.mark = (index, name, on) => parts(index).forEach((part) => part.classList.toggle(name, on));
  view.select = (selected) => {
    faces.forEach((_, index) => {
      view.tiles[index].setAttribute("aria-pressed", index === selected);
      view.mark(index, "selected", faces.length > 1 && index === selected);
    });
    detail.replaceChildren(...detailOf(faces, selected));
  };
  view.tiles.forEach((tile, index) => {
    link(view, tile, index);
    tile.addEventListener("focus", () => view.mark(index, "on", true));
    tile.addEventListener("blur", () => view.mark(index, "on", false));
  });
  return view;
}

/** Lets a part of a face light up all others, and select the face. */
function link(view, part, index) {
  part.addEventListener("pointerenter", () => view.mark(index, "on", true));
  part.addEventListener("pointerleave", () => view.mark(index, "on", document.activeElement === view.tiles[index]));
  part.addEventListener("click", () => {
    view.select(index);
    reveal(view.list, view.tiles[index]);
  });
}

/** Scrolls the list of faces, not the page. */
function reveal(list, tile) {
  const top = tile.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + tile.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top;
}

function tileOf(face, index, bitmap) {
  const tile = element("button", { type: "button", className: "face" });
  paint(tile, face.emotion);
  if (bitmap) tile.append(thumbOf(face, bitmap));
  tile.append(element("span", { className: "emotion" }, face.emotion), element("span", { className: "share" }, percent(face.confidence)));
  const doubt = doubtOf(face);
  tile.classList.toggle("doubtful", doubt !== "");
  tile.setAttribute("aria-label", `Face ${index + 1}: ${face.emotion}, ${percent(face.confidence)}${doubt && `. ${doubt}`}`);
  return tile;
}

/** Says why a face can't be read reliably, if it can't. */
function doubtOf({ quality: { height, sharpness, contrast } }) {
  const sharp = sharpness - ROUNDING >= LEAST_SHARPNESS * (255 * contrast) ** 2;
  if (height >= LEAST_PX && sharp) return "";
  return `Too ${height < LEAST_PX ? "small" : "blurred"} to be read reliably.`;
}

function thumbOf({ bounding_box: [x, y, w, h] }, bitmap) {
  const side = Math.max(w, h) * (1 + 2 * THUMB_MARGIN);
  const canvas = element("canvas", { width: THUMB_PX, height: THUMB_PX });
  canvas.getContext("2d").drawImage(bitmap, x + (w - side) / 2, y + (h - side) / 2, side, side, 0, 0, THUMB_PX, THUMB_PX);
  return canvas;
}

function detailOf(faces, index) {
  const bars = element("dl", { className: "bars" });
  for (const [emotion, share] of Object.entries(faces[index].scores)) {
    const fill = element("div", { className: "fill" });
    fill.style.width = `${share * 100}%`;
    paint(fill, emotion);
    bars.append(
      element("dt", {}, emotion),
      element("dd", {}, element("div", { className: "track" }, fill)),
      element("dd", { className: "share" }, percent(share)),
    );
  }
  const title = faces.length > 1 ? `Face ${index + 1} of ${faces.length}` : "All emotions";
  const doubt = doubtOf(faces[index]);
  return [element("h3", {}, title), bars, ...(doubt ? [element("p", { className: "note doubt" }, doubt)] : [])];
}

/** Lays boxes and labels over the image. The tiles are for the keyboard, these for the pointer. */
function addBoxes(view, sheet, { width, height }) {
  view.faces.forEach((face, index) => {
    const [x, y, w, h] = face.bounding_box;
    const box = element("div", { className: "box" });
    Object.assign(box.style, {
      left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`,
      width: `${(100 * w) / width}%`, height: `${(100 * h) / height}%`,
    });
    const tag = element("div", { className: "tag" }, face.emotion, element("span", {}, ` ${percent(face.confidence)}`));
    for (const part of [box, tag]) {
      paint(part, face.emotion);
      part.classList.toggle("doubtful", doubtOf(face) !== "");
      part.setAttribute("aria-hidden", "true");
      link(view, part, index);
    }
    view.boxes.push(box);
    view.tags.push(tag);
  });
  sheet.append(...view.boxes, ...view.tags);
  const place = () => placeLabels(sheet, view.faces.map((face) => face.bounding_box), view.tags, width);
  new ResizeObserver(place).observe(sheet);
}

const pictureOf = (sheet) => element("div", { className: "picture" }, sheet);

/** The photo as an element that keeps its proportions. */
function sheetOf(bitmap, name) {
  const scale = Math.min(1, SHOWN_PX / Math.max(bitmap.width, bitmap.height));
  const canvas = element("canvas", {
    width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)),
  });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  const sheet = element("div", { className: "sheet" }, canvas);
  sheet.style.setProperty("--ratio", bitmap.width / bitmap.height);
  sheet.style.setProperty("--largest", `${ENLARGED * bitmap.width}px`);
  return sheet;
}

/** Offers what may help where no face is found: smaller faces, turned photos. */
function suggestions(card, { minFaceSize, upright }) {
  const smaller = SMALLER_PX.find((size) => !minFaceSize || size < Number(minFaceSize));
  const tried = [
    ...(minFaceSize ? [`faces of ${minFaceSize} pixels and more`] : []),
    ...(upright ? ["quarter turns of the photo"] : []),
  ];
  const offers = [
    ...(smaller ? [[`Search for smaller faces (${smaller} px)`, { minFaceSize: String(smaller) }]] : []),
    ...(upright ? [] : [["Try quarter turns", { upright: true }]]),
  ];
  const buttons = offers.map(([label, overrides]) => {
    const button = element("button", { type: "button" }, label);
    button.addEventListener("click", () => card.retry(overrides));
    return button;
  });
  return element("div", { className: "suggestions" },
    element("p", {}, offers.length ? "Is a face very small, or is the photo on its side?" : "A larger or sharper photo may help."),
    element("div", { className: "actions" }, ...buttons),
    element("p", { className: "note" }, tried.length ? `Searched with: ${tried.join(", ")}.` : ""),
  );
}

async function saveAnnotated(file, faces, name) {
  const bitmap = await decode(file);
  const canvas = element("canvas", { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  paintFaces(context, faces);
  canvas.toBlob((blob) => save(blob, `${withoutSuffix(name)}-mien.jpg`), "image/jpeg", 0.92);
}

function jsonOf(faces) {
  // One face per line.
  return faces.length ? `[\n${faces.map((face) => `  ${JSON.stringify(face)}`).join(",\n")}\n]` : "[]";
}

function timingText(timings) {
  const stages = ["decode", "detect", "classify"].map((stage) => `${stage} ${timings[stage] ?? 0} ms`);
  if (timings.queue >= 1) stages.push(`queue ${timings.queue} ms`);
  // Lines break after the dots only.
  return stages.map((stage) => stage.replaceAll(" ", "\u00a0")).join("\u00a0· ");
}
