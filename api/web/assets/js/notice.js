// Short notes about what did not work; they go by themselves.

import { byId, element } from "./element.js";
import { t } from "./words.js";

const SHOWN_MS = 8_000;

/**
 * `retry`: does again what did not work; such a note stays until it is answered, or until `signal` says that nobody
 * asks any more.
 */
export function notify(text, { retry = null, signal = null } = {}) {
  const close = element("button", { type: "button", className: "button quiet", textContent: t("close") });
  const notice = element("div", { className: "notice" }, element("p", { textContent: text, dir: "auto" }), close);
  const dismiss = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", dismiss);
    notice.remove();
  };
  const timer = retry ? 0 : setTimeout(dismiss, SHOWN_MS);
  signal?.addEventListener("abort", dismiss);
  close.addEventListener("click", dismiss);
  if (retry) {
    const again = element("button", { type: "button", className: "button", textContent: t("try-again") });
    again.addEventListener("click", () => (dismiss(), retry()));
    close.before(again);
  }
  byId("notices").append(notice);
}

/** Tell a screen reader, without showing anything. */
export function announce(text) {
  byId("announcer").textContent = text;
}
