// The tools that a reply has used: a line for each, with what it was told and what it answered folded away.

import { element } from "./element.js";
import { isKnown, t } from "./words.js";

export class ToolView {
  #shown = "";
  element = element("div", { className: "tools", hidden: true });

  show(message) {
    const calls = (message.parts ?? []).filter((part) => part?.type === "tool_call");
    const shown = JSON.stringify(calls);
    // What the reader has unfolded stays so until something changes.
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.element.hidden = calls.length === 0;
    this.element.replaceChildren(...calls.map(cardOf));
  }
}

function cardOf(call) {
  const name = element("span", { className: "tool-name", textContent: call.title || call.name, dir: "auto" });
  const summary = element("summary", {}, name, ` ${isKnown(`tool.${call.state}`) ? t(`tool.${call.state}`) : call.state}`);
  const told = element("pre", { textContent: JSON.stringify(call.arguments, null, 2), dir: "auto" });
  const card = element("details", { className: "tool", data: { state: call.state } }, summary, told);
  if (call.result) card.append(element("pre", { textContent: call.result.content, dir: "auto" }));
  if (call.result?.truncated) card.append(element("p", { textContent: t("tool.truncated") }));
  return card;
}
