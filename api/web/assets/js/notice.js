// Short notes about what did not work; they go by themselves.

import { byId, element } from "./element.js";

const SHOWN_MS = 8_000;

export function notify(text) {
  const close = element("button", { type: "button", className: "button quiet", textContent: "Close" });
  const notice = element("div", { className: "notice" }, element("p", { textContent: text, dir: "auto" }), close);
  const timer = setTimeout(() => notice.remove(), SHOWN_MS);
  close.addEventListener("click", () => (clearTimeout(timer), notice.remove()));
  byId("notices").append(notice);
}

/** Tell a screen reader, without showing anything. */
export function announce(text) {
  byId("announcer").textContent = text;
}
