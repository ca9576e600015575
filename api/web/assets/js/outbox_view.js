// A message that is not in the room yet: on its way, or not sent with the reason.

import { element } from "./element.js";
import { t } from "./words.js";

/** `choices` are `retry(entry)`, `edit(entry)` and `discard(entry)`: what a person can do with one that failed. */
export function outboxEntry(entry, choices) {
  const { content, files = [], state, problem } = entry;
  const said = [content, ...files.map((file) => file.name)].filter(Boolean).join("\n");
  const body = element("div", { className: "message-body", dir: "auto", textContent: said });
  const ending = element("p", { className: "message-ending" });
  const label = t("messages.you");
  const shown = element("article", { className: "message user", data: { outbox: state }, aria: { label } }, body, ending);
  if (state === "sending") {
    ending.textContent = t("outbox.sending");
    return shown;
  }
  ending.classList.add("failed");
  ending.textContent = problem ? t("outbox.failed", { problem: problem.whole }) : t("outbox.unconfirmed");
  const buttons = [
    [t("try-again"), choices.retry],
    [t("edit"), choices.edit],
    [t("discard"), choices.discard],
  ].map(([text, run]) => {
    const button = element("button", { type: "button", className: "button quiet", textContent: text });
    button.addEventListener("click", () => run(entry));
    return button;
  });
  shown.append(element("footer", { className: "message-foot" }, ...buttons));
  return shown;
}
