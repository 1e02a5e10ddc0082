// The page: photos that are dropped, pasted, picked or taken; each becomes a card.

import { tell } from "./emotions.js";
import { Camera } from "./live.js";
import { addPhoto } from "./photo.js";

// So that a folder of photos does not fill the service's queue alone.
const AT_ONCE = 2;

const byId = (id) => document.getElementById(id);
const results = byId("results");
const waiting = [];
let working = 0;

function status(words, bad = false) {
  byId("status").textContent = words;
  byId("status").classList.toggle("bad", bad);
}

const options = () => ({
  labels: byId("labels").value,
  minFaceSize: byId("min-face-size").value,
  key: byId("key").value.trim(),
});

function take(files) {
  waiting.push(...files);
  next();
}

async function next() {
  while (working < AT_ONCE && waiting.length) {
    working++;
    work(waiting.shift());
  }
}

async function work(file) {
  status(waiting.length ? `${waiting.length} more photos are waiting…` : "Reading…");
  try {
    const found = await addPhoto(file, options(), results);
    status(`${file.name || "The photo"}: ${found === 1 ? "1 face" : `${found || "no"} faces`}`);
  } catch (problem) {
    status(`${file.name || "The photo"}: ${tell(problem)}`, true);
  } finally {
    working--;
    next();
  }
}

function filesOf(transfer) {
  return [...(transfer?.files ?? [])];
}

byId("fields").addEventListener("submit", (event) => event.preventDefault());
byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", ({ target }) => {
  take([...target.files]);
  target.value = ""; // the same photo may be chosen again
});
byId("sample").addEventListener("click", async () => {
  const response = await fetch("web/sample.jpg");
  take([new File([await response.blob()], "astronaut.jpg", { type: "image/jpeg" })]);
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("intake").classList.add("over");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) byId("intake").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault(); // or the browser would leave the page for the photo
  byId("intake").classList.remove("over");
  const files = filesOf(event.dataTransfer);
  if (files.length) take(files);
  else status("Drop a photo's file: this was something else.", true);
});
addEventListener("paste", ({ clipboardData }) => {
  const files = filesOf(clipboardData);
  if (files.length) take(files);
});

const camera = new Camera({ options, status, onPhoto: (file) => take([file]) });
byId("camera").addEventListener("click", () => camera.open());
