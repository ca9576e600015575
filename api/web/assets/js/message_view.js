// One message on the page.

import { MessageEditor } from "./editor.js";
import { element } from "./element.js";
import { enrich } from "./enrich.js";
import { FilesView } from "./files_view.js";
import { contentOf, isForeignAnswer } from "./foreign_answer.js";
import { icon } from "./icon.js";
import { GrowingMarkdown } from "./markdown.js";
import { ReasoningView } from "./reasoning_view.js";
import { shownTime } from "./times.js";
import { ToolView, isUndecided } from "./tool_view.js";
import { isRevised } from "./transcript.js";
import { t } from "./words.js";
import { VersionSwitcher, answeredFrom } from "./versions.js";

/** How replies end that have words for it. */
const ENDINGS = new Set(["length", "stopped", "interrupted", "content_filter", "tool_limit", "reasoning_limit"]);

export class MessageView {
  #waits = element("span", { className: "message-note", textContent: t("message.waits"), hidden: true });
  #edited = element("span", { className: "message-note", hidden: true });
  #reasoning = new ReasoningView();
  #files;
  #tools;
  #body = element("div", { className: "message-body", dir: "auto" });
  #ending = element("p", { className: "message-ending", hidden: true });
  #mark = element("span", { className: "message-mark" });
  #buttons = new Map();
  #markdown;
  #shown = null;
  #editor = null;
  #versions;
  /** Which form of the message the versions are for; null while nobody has asked for them. */
  #versionsOf = null;

  /**
   * `author` is the name above the message. `actions` are `{name, label, icon, when(message), run(message)}`: what
   * can be done with it; the buttons appear in this order. `fetchFile(fileId)` gets a blob. `onVersion(message, words)` hears which version is shown,
   * `onVersions(message)` that the person asks for them, `onDecide(message, call, decision)` what they decide about a call.
   */
  constructor(message, { author, actions, fetchFile, onVersion, onVersions, onDecide }) {
    this.#files = new FilesView(fetchFile);
    this.#tools = new ToolView((call, decision) => onDecide(this.message, call, decision));
    const sender = isForeignAnswer(message) ? "ai" : message.sender_type.toLowerCase();
    const at = message.metadata?.imported?.at ?? message.timestamp;
    this.#markdown = new GrowingMarkdown(this.#body);
    this.#versions = new VersionSwitcher({
      onChoose: (words) => (this.#showText(), onVersion(this.message, words)),
      onAsk: () => onVersions(this.message),
    });
    const head = element(
      "header",
      { className: "message-head" },
      element("span", { className: "message-author", dir: "auto", textContent: author }),
      element("time", { dateTime: at, textContent: shownTime(at) }),
      this.#edited,
      this.#waits,
    );
    const shownActions = element("div", { className: "message-actions" });
    const foot = element("footer", { className: "message-foot" }, this.#mark, this.#versions.element, shownActions);
    const data = { messageId: message.message_id, seq: message.seq, sender };
    this.element = element(
      "article",
      // The focus comes here when what had it goes.
      { className: `message ${sender}`, tabIndex: -1, data, aria: { label: `${author}, ${shownTime(at)}` } },
      head,
      this.#reasoning.element,
      this.#tools.element,
      this.#body,
      this.#files.element,
      this.#ending,
      foot,
    );
    for (const action of actions) {
      const button = element("button", { type: "button", className: "button icon small", title: action.label });
      button.setAttribute("aria-label", action.label);
      button.dataset.action = action.name;
      button.append(icon(action.icon));
      button.addEventListener("click", () => action.run(this.message, button));
      this.#buttons.set(action, button);
      shownActions.append(button);
    }
    this.update(message);
  }

  /** The text that is on the page: of the message, or of the earlier version that was chosen. */
  get text() {
    return contentOf(this.#versions.earlier ?? this.message);
  }

  /** Whether more of it is on its way, as the page shows it. */
  get isWriting() {
    return this.element.dataset.open === "true" && !this.element.hidden;
  }

  /** The call that somebody has to decide about before the reply goes on; undefined without one. */
  get undecided() {
    return this.message.parts.find((part) => isUndecided(part, this.message));
  }

  /** What a screen reader is told at its end. */
  get spoken() {
    return this.#body.textContent;
  }

  /** Whether it may have said something else before, and nobody has asked yet. */
  get wantsVersions() {
    return this.#versionsOf === null && !this.message.open && isRevised(this.message);
  }

  /** Ascending, with what it says now; they are forgotten when that has changed meanwhile. */
  showVersions(versions) {
    if (formOf(versions.at(-1)) !== formOf(this.message)) return;
    this.#versionsOf = formOf(this.message);
    this.#versions.set(versions);
  }

  /** Of a question: the attempts of its reply that answer the version that is shown. */
  get answers() {
    return this.#versions.answers ?? { from: answeredFrom(this.message), below: Infinity };
  }

  /** Show what the message says now. */
  showNewest() {
    if (this.#versions.showNewest()) this.#showText();
  }

  /** Of a reply: show an attempt that answers this version of the question. */
  answer(attempts) {
    if (this.#versions.limit(attempts)) this.#showText();
  }

  /** The versions could not be fetched. */
  offerVersions() {
    this.#versionsOf = formOf(this.message);
    this.#versions.offer();
  }

  /** Have the person write it anew; `onSave(text)` does it, `note` says more about it. */
  edit(onSave, note) {
    if (!this.#editor) {
      const editor = new MessageEditor(this.message.content, { onSave, note, onClose: () => this.#closeEditor() });
      this.#editor = editor;
      this.#files.element.before(editor.element);
      this.element.classList.add("editing");
    }
    this.#editor.focus();
  }

  #closeEditor() {
    if (!this.#editor) return;
    const focused = this.#editor.element.contains(document.activeElement);
    this.#editor.element.remove();
    this.#editor = null;
    this.element.classList.remove("editing");
    if (focused) this.element.focus({ preventScroll: true });
  }

  update(message) {
    this.message = message;
    if (this.#versionsOf !== null && (message.open || this.#versionsOf !== formOf(message))) {
      this.#versionsOf = null;
      this.#versions.set([]);
    }
    const { dataset } = this.element;
    dataset.state = message.state;
    dataset.durability = message.durability;
    dataset.open = String(message.open);
    dataset.attempt = message.attempt;
    dataset.waits = String(message.waits);
    dataset.revisable = String(message.revisable);
    this.#waits.hidden = !message.waits;
    // A reply that waits has nothing to show; the message that it will answer says so.
    this.element.hidden = message.waits && message.sender_type !== "USER";
    this.element.setAttribute("aria-busy", String(message.open));
    this.element.classList.toggle("waiting", message.open && message.content === "" && !this.undecided);
    this.#showText();
    this.#showMark(message);
    for (const [action, button] of this.#buttons) {
      const hidden = !action.when(message);
      if (hidden && button === document.activeElement) this.element.focus({ preventScroll: true });
      button.hidden = hidden;
    }
  }

  #showText() {
    const { earlier } = this.#versions;
    const shown = earlier ? { ...earlier, open: false } : this.message;
    this.element.classList.toggle("earlier", earlier !== null);
    this.#reasoning.show(shown);
    this.#files.show(shown);
    this.#tools.show(shown);
    this.#placeTools(shown);
    this.#showContent(shown);
    this.#showEdited(shown);
    this.#showEnding(shown);
  }

  /** Calls that nothing was said behind stand below what was said, others above it. */
  #placeTools({ parts = [] }) {
    const called = parts.findLastIndex((part) => part?.type === "tool_call");
    const said = parts.findLastIndex((part) => part?.type === "text" && part.text.trim() !== "");
    const [first, second] = called > said ? [this.#body, this.#tools.element] : [this.#tools.element, this.#body];
    if (first.nextElementSibling === second) return;
    const focused = this.#tools.element.contains(document.activeElement) ? document.activeElement : null;
    if (second === this.#body) this.#body.before(this.#tools.element);
    else this.#body.after(this.#tools.element);
    focused?.focus({ preventScroll: true });
  }

  #showEdited(message) {
    const at = message.metadata?.edited_at ?? "";
    if (this.#edited.dataset.at === at) return;
    this.#edited.dataset.at = at;
    this.#edited.hidden = at === "";
    this.#edited.replaceChildren(`${t("message.edited")} `, element("time", { dateTime: at, textContent: shownTime(at) }));
  }

  #showContent(message) {
    // Most updates are about the state, and rendering again would drop what the reader has selected.
    const shown = `${message.open} ${message.content}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    if (message.open) this.#markdown.grow(message.content);
    else {
      this.#markdown.finish(contentOf(message));
      enrich(this.#body).catch((error) => console.warn("Shown as it was written:", error));
    }
  }

  #showEnding(message) {
    let text = "";
    if (message.open) text = message.restarted ? t("message.restarted") : "";
    else if (message.finish_reason === "error" || message.error) text = failureText(message.error);
    else if (ENDINGS.has(message.finish_reason)) text = t(`ending.${message.finish_reason}`);
    this.#ending.textContent = text;
    this.#ending.hidden = text === "";
    this.#ending.classList.toggle("failed", !message.open && (message.finish_reason === "error" || !!message.error));
  }

  #showMark(message) {
    const stored = message.durability === "persisted";
    const label = t(stored ? "message.stored" : "message.kept");
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
  const reason = error?.detail || error?.code;
  const seconds = error?.retry_after_seconds;
  const failed = reason ? t("ending.failed-because", { reason }) : t("ending.failed");
  return seconds ? `${failed} ${t("ending.retry", { seconds })}` : failed;
}

/** Two tellings of a message with the same form have the same text and the same versions. */
function formOf({ attempt, metadata }) {
  return `${attempt} ${metadata?.edited_at ?? ""}`;
}
