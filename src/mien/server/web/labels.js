// Places the labels of boxes on an image, so that none covers another one.

/**
 * Moves each tag next to its box. A tag without a free place gets the class "covered".
 * sheet: the image's element; boxes: [x, y, width, height] in pixels of an image of that width;
 * tags: an element for each box, largest face first.
 */
export function placeLabels(sheet, boxes, tags, imageWidth) {
  const scale = sheet.clientWidth / imageWidth;
  const size = [sheet.clientWidth, sheet.clientHeight];
  const scaled = boxes.map((box) => box.map((value) => value * scale));
  const sizes = tags.map((tag) => [tag.offsetWidth, tag.offsetHeight]);
  const placed = [];
  tags.forEach((tag, index) => {
    const places = placesOf(scaled[index], sizes[index], size);
    const others = scaled.filter((_, other) => other !== index);
    const free = places.filter((place) => !placed.some((other) => overlap(place, other)));
    const best = free.find((place) => !others.some((other) => overlap(place, other))) ?? free[0];
    if (best) placed.push(best);
    tag.classList.toggle("covered", !best);
    const [x, y] = best ?? places[0];
    Object.assign(tag.style, { left: `${x}px`, top: `${y}px` });
  });
}

/** Places for a label, best first: above, below and inside the box, at its left and right edge. */
function placesOf([x, y, w, h], [width, height], [sheetWidth, sheetHeight]) {
  const lefts = [x, x + w - width, x + (w - width) / 2].map((left) => clamp(left, 0, sheetWidth - width));
  const tops = [y - height, y + h, y].filter((top) => top >= 0 && top + height <= sheetHeight);
  if (!tops.length) tops.push(clamp(y - height, 0, sheetHeight - height));
  return tops.flatMap((top) => lefts.map((left) => [left, top, width, height]));
}

const clamp = (value, least, most) => Math.max(least, Math.min(value, most));

// Half a pixel of tolerance, for rounded sizes.
const overlap = ([x, y, w, h], [x2, y2, w2, h2]) =>
  x < x2 + w2 - 0.5 && x2 < x + w - 0.5 && y < y2 + h2 - 0.5 && y2 < y + h - 0.5;
