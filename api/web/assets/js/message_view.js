// One message on the page.

import { element } from "./element.js";
import { icon } from "./icon.js";
import { GrowingMarkdown } from "./markdown.js";

const ENDINGS = {
  length: "The reply was cut off at its length limit.",
  stopped: "The reply was stopped.",
  interrupted: "The reply was interrupted.",
};

export class MessageView {
  #head;
  #body = element("div", { className: "message-body", dir: "auto" });
  #ending = element("p", { className: "message-ending", hidden: true });
  #mark = element("span", { className: "message-mark" });
  #actions;
  #buttons = new Map();
  #markdown = null;
  #shown = null;

  /**
   * `author` is the name above the message. `actions` are `{name, label, icon, when(message), run(message)}`: what
   * can be done with it; the buttons appear in this order.
   */
  constructor(message, { author, actions }) {
    const sender = message.sender_type.toLowerCase();
    if (sender !== "user") this.#markdown = new GrowingMarkdown(this.#body);
    this.#head = element(
      "header",
      { className: "message-head" },
      element("span", { className: "message-author", dir: "auto", textContent: author }),
      element("time", { dateTime: message.timestamp, textContent: shownTime(message.timestamp) }),
    );
    this.#actions = element("div", { className: "message-actions" });
    const foot = element("footer", { className: "message-foot" }, this.#mark, this.#actions);
    this.element = element(
      "article",
      { className: `message ${sender}`, data: { messageId: message.message_id, seq: message.seq, sender } },
      this.#head,
      this.#body,
      this.#ending,
      foot,
    );
    for (const action of actions) {
      const button = element("button", { type: "button", className: "button icon small", title: action.label });
      button.setAttribute("aria-label", action.label);
      button.dataset.action = action.name;
      button.append(icon(action.icon));
      button.addEventListener("click", () => action.run(this.message));
      this.#buttons.set(action, button);
      this.#actions.append(button);
    }
    this.update(message);
  }

  update(message) {
    this.message = message;
    const { dataset } = this.element;
    dataset.state = message.state;
    dataset.durability = message.durability;
    dataset.open = String(message.open);
    dataset.attempt = message.attempt;
    this.element.setAttribute("aria-busy", String(message.open));
    this.element.classList.toggle("waiting", message.open && message.content === "");
    this.#showContent(message);
    this.#showEnding(message);
    this.#showMark(message);
    for (const [action, button] of this.#buttons) button.hidden = !action.when(message);
  }

  #showContent(message) {
    // Most updates are about the state, and rendering again would drop what the reader has selected.
    const shown = `${message.open} ${message.content}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    if (!this.#markdown) this.#body.textContent = message.content;
    else if (message.open) this.#markdown.grow(message.content);
    else this.#markdown.finish(message.content);
  }

  #showEnding(message) {
    let text = "";
    if (message.open) text = message.restarted ? "The reply was interrupted and begins again." : "";
    else if (message.finish_reason === "error" || message.error) text = failureText(message.error);
    else text = ENDINGS[message.finish_reason] ?? "";
    this.#ending.textContent = text;
    this.#ending.hidden = text === "";
    this.#ending.classList.toggle("failed", !message.open && (message.finish_reason === "error" || !!message.error));
  }

  #showMark(message) {
    const stored = message.durability === "persisted";
    const label = stored ? "Stored in the database" : "Kept, on its way to the database";
    if (message.open || this.#mark.dataset.label === label) {
      this.#mark.hidden = message.open;
      return;
    }
    this.#mark.hidden = false;
    this.#mark.dataset.label = label;
    this.#mark.title = label;
    const words = element("span", { className: "visually-hidden", textContent: label });
    this.#mark.replaceChildren(icon(stored ? "stored" : "kept"), words);
  }
}

function failureText(error) {
  const reason = error?.detail ? `: ${error.detail}` : error?.code ? `: ${error.code}` : ".";
  return `The reply failed${reason}`;
}

/** The time today, else the date too, as the reader's own language writes it. */
export function shownTime(timestamp) {
  const at = new Date(timestamp);
  if (Number.isNaN(at.getTime())) return "";
  const today = at.toDateString() === new Date().toDateString();
  const style = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(undefined, style).format(at);
}
