// What the two places where a person writes have in common.

import { characters } from "../client/fold.js";

/** The server's default limit of a message, in characters. */
export const CONTENT_MAX = 32_768;

export function isSendable(text) {
  return text.trim() !== "" && characters(text) <= CONTENT_MAX;
}

/** As high as its text, as far as the style sheet allows. */
export function fitHeight(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

/** Enter does it, Shift+Enter starts a new line; an input method's own Enter only ends what it composes. */
export function onEnter(field, run) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    run();
  });
}
