// Helpers to build elements and to hand over texts and files.

import { paint } from "./emotions.js";

/** Returns a new element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A label in the color of an emotion. */
export function chip(emotion, text = emotion) {
  const made = element("span", { className: "chip" }, text);
  paint(made, emotion);
  return made;
}

/** Saves a Blob under a name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export const saveCsv = (text, name) => save(new Blob([text], { type: "text/csv" }), name);

export const withoutSuffix = (name) => name.replace(/\.[^.]*$/, "");

/** Returns a section that shows texts, each with a button to copy it. */
export function snippets(title, texts) {
  const items = Object.entries(texts).map(([name, text]) => {
    const place = element("pre", { className: name.toLowerCase(), tabIndex: 0 }, text);
    place.setAttribute("aria-label", name);
    const label = `Copy ${name}`;
    const button = element("button", { type: "button", className: "small" }, label);
    button.addEventListener("click", async () => {
      button.textContent = await copy(text, place);
      setTimeout(() => (button.textContent = label), 1500);
    });
    return element("div", { className: "snippet" }, place, button);
  });
  return element("details", { className: "code" }, element("summary", {}, title), ...items);
}

async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    // Without HTTPS there is no clipboard: select the text for the keyboard instead.
    getSelection().selectAllChildren(place);
    return "Press Ctrl+C";
  }
}
