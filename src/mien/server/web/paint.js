// Boxes and labels on a canvas: for saved copies, videos and the camera.

import { COLORS, ink, percent } from "./emotions.js";

/** Draws faces onto a context in the image's pixels. who: returns the text before a label. */
export function paintFaces(context, faces, who = () => "") {
  const { width, height } = context.canvas;
  const line = Math.max(2, Math.max(width, height) / 400);
  for (const face of faces) {
    const [x, y, w, h] = face.bounding_box;
    const color = COLORS[face.emotion];
    context.lineWidth = line * 1.8;
    context.strokeStyle = "#000";
    context.strokeRect(x, y, w, h);
    context.lineWidth = line;
    context.strokeStyle = color;
    context.strokeRect(x, y, w, h);
  }
  for (const face of faces) paintLabel(context, face, who(face), line);
}

function paintLabel(context, face, name, line) {
  const { width, height } = context.canvas;
  const [x, y, w, h] = face.bounding_box;
  const text = `${name}${face.emotion} ${percent(face.confidence)}`;
  const largest = Math.max(16, Math.max(width, height) / 30);
  const size = Math.round(Math.min(Math.max(w / 5, Math.max(12, Math.max(width, height) / 80)), largest));
  context.font = `650 ${size}px system-ui, sans-serif`;
  const plate = { width: context.measureText(text).width + size * 0.8, height: size * 1.4 };
  const left = Math.min(Math.max(x - line / 2, 0), Math.max(width - plate.width, 0));
  const above = y - plate.height;
  const top = above >= 0 ? above : Math.min(y + h, height - plate.height);
  context.fillStyle = COLORS[face.emotion];
  context.fillRect(left, top, plate.width, plate.height);
  context.fillStyle = ink(face.emotion);
  context.textBaseline = "middle";
  context.fillText(text, left + size * 0.4, top + plate.height / 2);
}
