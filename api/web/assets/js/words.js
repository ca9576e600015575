// What the page says, in the language of whoever reads it. Every text that is shown comes from a table of words/.

import en from "./words/en.js";
import ko from "./words/ko.js";
import { preference } from "./preferences.js";

export const LANGUAGES = { en, ko };

/** The language that was chosen, else the first of the browser's that there is a table of. */
export const language = chosen();
const table = LANGUAGES[language];

function chosen() {
  const wanted = [preference("language"), ...(navigator.languages ?? [])];
  return wanted.map((name) => name?.slice(0, 2)).find((name) => Object.hasOwn(LANGUAGES, name)) ?? "en";
}

/** The text of a key, with `{name}` replaced by the values. */
export function t(key, values = {}) {
  if (!Object.hasOwn(table, key)) throw new Error(`no words for ${key}`);
  return table[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Whether there is a text of this key. */
export function isKnown(key) {
  return Object.hasOwn(table, key);
}

/** Fill in the page's own mark-up: `data-t` is its text, `data-t-title` and so on are attributes. */
export function fillIn(root = document) {
  document.documentElement.lang = language;
  for (const found of root.querySelectorAll("[data-t]")) found.textContent = t(found.dataset.t);
  for (const [name, attribute] of Object.entries({ tLabel: "aria-label", tTitle: "title", tPlaceholder: "placeholder" })) {
    const selector = `[data-${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const found of root.querySelectorAll(selector)) found.setAttribute(attribute, t(found.dataset[name]));
  }
}
