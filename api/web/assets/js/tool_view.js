// The tools that a reply uses: a line for each, with its arguments and its result folded away; one that waits for a
// person's decision stands open.

import { ApprovalCard } from "./approval_card.js";
import { element } from "./element.js";
import { plain } from "./plain.js";
import { shownTime } from "./times.js";
import { isKnown, t } from "./words.js";

export class ToolView {
  #cards = new Map();
  #onDecide;
  element = element("div", { className: "tools", hidden: true });

  /** `onDecide(call, decision)` sends what a person decided; it throws a Problem. */
  constructor(onDecide) {
    this.#onDecide = onDecide;
  }

  show(message) {
    const calls = (message.parts ?? []).filter((part) => part?.type === "tool_call");
    this.element.hidden = calls.length === 0;
    const ids = new Set(calls.map((call) => call.tool_call_id));
    for (const [id, { card }] of this.#cards) {
      if (ids.has(id)) continue;
      card.remove();
      this.#cards.delete(id);
    }
    for (const call of calls) this.#show(call, isUndecided(call, message), message.timestamp);
  }

  /** Only what changed is made anew: a person may be writing in the card of another call, or has unfolded one. */
  #show(call, undecided, since) {
    const { tool_call_id: id } = call;
    const shown = JSON.stringify([call, undecided]);
    const before = this.#cards.get(id);
    if (before?.shown === shown) return;
    const card = undecided ? new ApprovalCard(call, since, this.#onDecide).element : foldedCard(call);
    this.#cards.set(id, { shown, card });
    if (!before) return this.element.append(card);
    const focused = before.card.contains(document.activeElement);
    before.card.replaceWith(card);
    if (focused) (card.querySelector("summary") ?? card).focus();
  }
}

/** Whether somebody has to decide about the call before the reply goes on. */
export function isUndecided(call, message) {
  return call?.type === "tool_call" && call.state === "waiting" && message.open;
}

function foldedCard(call) {
  const name = element("span", { className: "tool-name", textContent: call.title || call.name, dir: "auto" });
  const state = call.client && call.state === "running" ? "client" : call.state;
  const summary = element("summary", {}, name, ` ${isKnown(`tool.${state}`) ? t(`tool.${state}`) : call.state}`);
  const told = text(plain(JSON.stringify(call.arguments, null, 2)));
  const card = element("details", { className: "tool", data: { state: call.state } }, summary, told);
  // What nobody can mend unless they know of it is not folded away.
  if (call.state === "unknown") card.open = true;
  if (call.state === "unknown") card.append(element("p", { className: "tool-note", textContent: t("tool.unknown.text") }));
  if (call.decided_by && call.decided_at) card.append(decision(call));
  if (call.result) card.append(text(call.result.content));
  if (call.result?.truncated) card.append(element("p", { textContent: t("tool.truncated") }));
  return card;
}

function decision({ decided_by: who, decided_at: at, state }) {
  const words = t(state === "denied" ? "tool.denied-by" : "tool.approved-by", { who, at: shownTime(at) });
  return element("p", { className: "tool-note", textContent: words, dir: "auto" });
}

/** So that what does not fit can be read with the keyboard alone. */
function text(content) {
  return element("pre", { textContent: content, dir: "auto", tabIndex: 0, data: { foreign: "" } });
}
