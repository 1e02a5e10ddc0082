// Places the labels of boxes on an image, so that none covers another one.

// A label inside a box that is not much taller would hide the face.
const LEAST_LINES = 4;

/**
 * Moves each tag next to its box, where it covers neither another tag nor another box. If there is not
 * room for all, the sheet gets the class "crowded", which shortens them; a tag that has no room even so
 * gets the class "covered".
 * sheet: the image's element; boxes: [x, y, width, height] in pixels of an image of that width;
 * tags: an element for each box, largest face first.
 */
export function placeLabels(sheet, boxes, tags, imageWidth) {
  const scale = sheet.clientWidth / imageWidth;
  const scaled = boxes.map((box) => box.map((value) => value * scale));
  const place = (crowded) => {
    sheet.classList.toggle("crowded", crowded);
    return placed(scaled, tags, [sheet.clientWidth, sheet.clientHeight]);
  };
  if (!place(false)) place(true);
}

/** Returns whether all tags have room. */
function placed(boxes, tags, sheet) {
  const taken = [];
  const sizes = tags.map((tag) => [tag.offsetWidth, tag.offsetHeight]);
  tags.forEach((tag, index) => {
    const places = placesOf(boxes[index], sizes[index], sheet);
    const others = boxes.filter((_, other) => other !== index);
    const best = places.find((place) => ![...taken, ...others].some((other) => overlap(place, other)));
    if (best) taken.push(best);
    tag.classList.toggle("covered", !best);
    const [x, y] = best ?? places[0];
    Object.assign(tag.style, { left: `${x}px`, top: `${y}px` });
  });
  return taken.length === tags.length;
}

/** Places for a label, best first: above, below and inside the box, at its left and right edge. */
function placesOf([x, y, w, h], [width, height], [sheetWidth, sheetHeight]) {
  const lefts = [x, x + w - width, x + (w - width) / 2].map((left) => clamp(left, 0, sheetWidth - width));
  const inside = h >= LEAST_LINES * height ? [y] : [];
  const tops = [y - height, y + h, ...inside].filter((top) => top >= 0 && top + height <= sheetHeight);
  if (!tops.length) tops.push(clamp(y - height, 0, sheetHeight - height));
  return tops.flatMap((top) => lefts.map((left) => [left, top, width, height]));
}

const clamp = (value, least, most) => Math.max(least, Math.min(value, most));

// Half a pixel of tolerance, for rounded sizes.
const overlap = ([x, y, w, h], [x2, y2, w2, h2]) =>
  x < x2 + w2 - 0.5 && x2 < x + w - 0.5 && y < y2 + h2 - 0.5 && y2 < y + h - 0.5;
