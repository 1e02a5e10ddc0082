// The page: files are dropped, pasted, chosen or taken with the camera; each becomes a card.

import { Problem } from "./api.js";
import { Card } from "./card.js";
import { tableOf } from "./csv.js";
import { saveCsv } from "./dom.js";
import { filesOfDrop } from "./drop.js";
import { count, messageOf } from "./emotions.js";
import { Camera } from "./live.js";
import { runPhoto } from "./photo.js";
import { isVideo, runVideo } from "./video.js";

// Many files must not fill the service's queue.
const AT_ONCE = 2;
// With more files than this, each takes a line until it is opened.
const OPEN_AT_MOST = 6;
// The options that change a result.
const QUERIED = ["labels", "minFaceSize", "upright"];
const KEY_PROBLEMS = ["unauthorized", "invalid_key"];

const byId = (id) => document.getElementById(id);
const cards = [];
const queue = [];
// Those that ended since the queue was last empty.
const finished = [];
let working = 0;

/** Announces a text. spoken: only to screen readers, because a card shows it too. */
function status(text, { bad = false, spoken = false } = {}) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
  byId("status").classList.toggle("spoken", spoken);
}

const chosen = () => ({
  labels: byId("labels").value,
  minFaceSize: byId("min-face-size").value,
  upright: byId("upright").checked,
  key: byId("key").value.trim(),
});

const hooks = {
  changed: showCounts,
  retry: (card) => enqueue([card]),
  removed: (card) => {
    const next = cards[cards.indexOf(card) + 1] ?? cards.at(-2);
    drop(cards, card);
    drop(queue, card);
    drop(finished, card);
    showCounts();
    // The button that was pressed is gone.
    if (document.activeElement === document.body) (next?.find(".remove") ?? byId("choose")).focus();
  },
};

function drop(list, item) {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}

function add(files) {
  const added = files.map((file) => new Card(file, hooks));
  cards.unshift(...added);
  // A file that is added alone is the one to look at.
  if (cards.length > OPEN_AT_MOST) for (const card of cards) card.fold(added.length > 1 || card !== added[0]);
  byId("results").prepend(...added.map((card) => card.element));
  enqueue(added);
}

/** The options are those chosen now, so that a change while files wait does not mix them. */
function enqueue(added) {
  for (const card of added) card.options = optionsOf(card);
  queue.push(...added);
  showCounts();
  next();
}

const optionsOf = (card) => ({ ...chosen(), ...card.overrides });

function next() {
  while (working < AT_ONCE && queue.length) {
    working++;
    run(queue.shift());
  }
}

async function run(card) {
  const outcome = await outcomeOf(card);
  working--;
  if (outcome) finished.push(card);
  next();
  announce(outcome && `${card.name}: ${outcome}`);
}

/** Analyzes the file of a card. Returns a sentence about its result or failure; null if cancelled. */
async function outcomeOf(card) {
  try {
    return await (isVideo(card.file) ? runVideo : runPhoto)(card, card.options);
  } catch (error) {
    // Without this, a card whose request or drawing fails unexpectedly would stay busy.
    const problem = error instanceof Problem ? error : Object.assign(new Problem("unexpected", String(error)), { samples: error.samples });
    if (problem.code === "cancelled") return null;
    if (KEY_PROBLEMS.includes(problem.code)) byId("options").open = true;
    card.fail(problem, card.options.labels);
    return messageOf(problem);
  }
}

/** Announces the outcome of a file; after the last one of several, also how many failed, and which. */
function announce(outcome) {
  let text = outcome ?? "";
  if (!working) {
    if (finished.length > 1) text = `${text && text.replace(/\.?$/, ". ")}${countsOf(finished)}.${failedNames(finished)}`;
    finished.length = 0;
  }
  if (text) status(text, { spoken: true });
}

function failedNames(cards) {
  const names = cards.filter(({ state }) => state === "failed").map(({ name }) => name);
  return names.length ? ` Failed: ${names.join(", ")}.` : "";
}

/** The number of files in each state, as in "3 files: 2 done, 1 failed". */
function countsOf(cards) {
  const counts = { done: 0, "in progress": 0, waiting: 0, failed: 0 };
  for (const { state, busy } of cards) counts[busy && state !== "waiting" ? "in progress" : state]++;
  const present = Object.keys(counts).filter((state) => counts[state]);
  const all = count(cards.length, "file");
  return present.length === 1 ? `${all} ${present[0]}` : `${all}: ${present.map((state) => `${counts[state]} ${state}`).join(", ")}`;
}

function showCounts() {
  byId("counts").textContent = countsOf(cards);
  document.body.classList.toggle("filled", cards.length > 0 || !byId("live").hidden);
  document.body.classList.toggle("many", cards.length > 1);
  byId("toolbar").hidden = cards.length === 0;
  const failed = cards.filter(({ retryable }) => retryable);
  byId("retry-failed").hidden = failed.length === 0 || cards.length === 1;
  byId("retry-failed").textContent = `Retry failed (${failed.length})`;
  byId("fold").hidden = cards.length < 2;
  byId("fold").textContent = cards.some(({ folded }) => folded) ? "Expand all" : "Collapse all";
  byId("again").hidden = outdated().length === 0;
  byId("download").hidden = results().length === 0;
}

const results = () => cards.map(({ result }) => result).filter(Boolean);

/** Files that were analyzed with other options than those chosen now. */
function outdated() {
  const now = chosen();
  const differs = ({ options, overrides }) => QUERIED.some((name) => options[name] !== (overrides[name] ?? now[name]));
  return cards.filter((card) => (card.state === "done" || card.retryable) && differs(card));
}

function retryAll(again) {
  const focused = byId("toolbar").contains(document.activeElement);
  for (const card of again) card.retry();
  if (focused) again[0]?.focus(); // the button that had the focus is hidden
}

const withProblem = (...codes) => cards.filter(({ result }) => codes.includes(result?.problem?.code));

function clearAll() {
  for (const card of [...cards]) card.remove();
  status("All files were removed from this page.");
  byId("choose").focus();
}

// The Enter key in the field of the API key.
byId("fields").addEventListener("submit", (event) => {
  event.preventDefault();
  retryAll(withProblem(...KEY_PROBLEMS));
});
byId("fields").addEventListener("change", showCounts);
addEventListener("online", () => retryAll(withProblem("unreachable")));
byId("choose").addEventListener("click", () => byId("files").click());
byId("capture").addEventListener("click", () => byId("shot").click());
for (const input of [byId("files"), byId("shot")]) {
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = ""; // the same file may be chosen again
  });
}
byId("sample").addEventListener("click", async () => {
  try {
    const response = await fetch("web/sample.jpg");
    if (!response.ok) throw new Problem("unreachable");
    add([new File([await response.blob()], "astronaut.jpg", { type: "image/jpeg" })]);
  } catch {
    status(`The sample can't be loaded. ${messageOf({ code: "unreachable" })}`, { bad: true });
  }
});
byId("retry-failed").addEventListener("click", () => retryAll(cards.filter(({ retryable }) => retryable)));
byId("again").addEventListener("click", () => retryAll(outdated()));
byId("fold").addEventListener("click", () => {
  const fold = !cards.some(({ folded }) => folded);
  for (const card of cards) card.fold(fold);
  showCounts();
});
byId("clear").addEventListener("click", clearAll);
byId("download").addEventListener("click", () => saveCsv(tableOf(results()), "mien.csv"));

addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("intake").classList.add("over");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) byId("intake").classList.remove("over");
});
addEventListener("drop", async (event) => {
  event.preventDefault(); // or the browser would open the file in place of the page
  byId("intake").classList.remove("over");
  const files = await filesOfDrop(event.dataTransfer);
  if (files.length) add(files);
  else status("There is no photo or video in this. Drop photos, videos or folders of them.", { bad: true });
});
addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData?.files.length) add([...clipboardData.files]);
});

const camera = new Camera({ options: chosen, status, changed: showCounts, onPhoto: (file) => add([file]) });
byId("camera").addEventListener("click", () => camera.open());
