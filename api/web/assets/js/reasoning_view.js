// What a model thought before it went on: folded away, above what it said.

import { element } from "./element.js";
import { t } from "./words.js";

export class ReasoningView {
  #label = element("summary", {});
  #text = element("div", { className: "reasoning-text", dir: "auto" });
  element = element("details", { className: "reasoning", hidden: true }, this.#label, this.#text);

  show(message) {
    const thoughts = (message.parts ?? []).filter((part) => part?.type === "reasoning");
    this.element.hidden = thoughts.length === 0;
    if (this.element.hidden) {
      this.element.open = false;
      return;
    }
    this.#label.textContent = labelOf(thoughts, message.open && message.parts.at(-1)?.type === "reasoning");
    const text = thoughts.map((part) => part.text).join("\n\n");
    // Only what was added: the reader may have selected something.
    const [shown] = this.#text.childNodes;
    if (shown && text.startsWith(shown.data)) shown.appendData(text.slice(shown.data.length));
    else this.#text.textContent = text;
  }
}

function labelOf(thoughts, thinks) {
  if (thinks) return t("thinking");
  const seconds = Math.round(thoughts.reduce((sum, part) => sum + (part.duration_ms ?? 0), 0) / 1000);
  return seconds > 0 ? t("thought.seconds", { seconds }) : t("thought");
}
