// Files that are dropped on the page, also those inside folders.

import { isVideo } from "./video.js";

const PHOTO = /\.(jpe?g|png|webp|avif|hei[cf]|gif|bmp)$/i;

/** Returns the dropped files. Of folders, only the photos and videos. */
export async function filesOfDrop(transfer) {
  // The browser clears the items once the event is over, so none is awaited before all are read.
  const items = [...(transfer?.items ?? [])].filter(({ kind }) => kind === "file");
  const entries = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const files = entries.map(async ({ entry, file }) => (entry?.isDirectory ? (await filesIn(entry)).filter(isMedia) : file));
  return (await Promise.all(files)).flat().filter(Boolean);
}

const isMedia = (file) => file.type.startsWith("image/") || PHOTO.test(file.name) || isVideo(file);

/** Files that can't be read are left out. */
async function filesIn(entry) {
  if (entry.isFile) return new Promise((done) => entry.file((file) => done([file]), () => done([])));
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    // Browsers return the entries in parts.
    const part = await new Promise((done) => reader.readEntries(done, () => done([])));
    if (!part.length) break;
    inside.push(...part);
  }
  return (await Promise.all(inside.map(filesIn))).flat();
}
