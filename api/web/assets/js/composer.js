// Where a message is written.

import { Attachments } from "./attachments.js";
import { byId } from "./element.js";
import { icon } from "./icon.js";
import { CONTENT_MAX, fitHeight, isSendable, onEnter } from "./text_field.js";
import { characters } from "../client/fold.js";
import { t } from "./words.js";

const ON_BUSY = "on_busy";
/** Where Escape leaves something. */
const OTHERS = ".message-editor, .approval, .search, .sidebar";
const COUNT_FROM = CONTENT_MAX - 2_000;

export class Composer {
  #form = byId("composer");
  #field = byId("composer-field");
  #send = byId("send");
  #count = byId("composer-count");
  #busy = byId("busy");
  #stop = byId("stop");
  #onBusy = byId("on-busy");
  #attach = byId("attach");
  #chooser = byId("attach-files");
  #storage = null;
  #draft = null;
  #stopping = false;
  /** The files of the message that is being written. */
  attachments = new Attachments();
  /** Set by whoever shows the room now. `onSend(text, onBusy, files)`; `onStop()` resolves when that is over. */
  onSend = () => {};
  onStop = async () => {};
  /** Begins to edit the person's last message; whether there is one that can be edited. */
  onEditLast = () => false;

  constructor() {
    this.#send.append(icon("send"));
    this.#attach.append(icon("attach"));
    this.#form.prepend(this.attachments.element);
    this.attachments.onChange = () => this.#changed();
    this.#attach.addEventListener("click", () => this.#chooser.click());
    this.#chooser.addEventListener("change", () => {
      this.attachments.add(this.#chooser.files);
      this.#chooser.value = "";
    });
    this.#field.addEventListener("paste", (event) => this.#takeFiles(event, event.clipboardData));
    this.#form.addEventListener("dragover", (event) => event.preventDefault());
    this.#form.addEventListener("drop", (event) => this.#takeFiles(event, event.dataTransfer));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    onEnter(this.#field, () => this.#submit());
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" && this.#field.value === "" && !event.isComposing && this.onEditLast()) event.preventDefault();
    });
    document.addEventListener("keydown", (event) => this.#onEscape(event));
    this.#field.addEventListener("input", () => this.#changed());
    this.#stop.prepend(icon("stop"));
    this.#stop.addEventListener("click", () => this.#stopReply());
    this.#onBusy.addEventListener("change", () => this.#storage?.set(ON_BUSY, this.#onBusy.value));
  }

  /** Take up an account's draft in a room. */
  open(roomId, storage) {
    this.attachments.clear();
    this.#storage = storage;
    this.#draft = `draft/${roomId}`;
    this.#field.value = storage.get(this.#draft) ?? "";
    this.#onBusy.value = storage.get(ON_BUSY) ?? "enqueue";
    this.#changed();
  }

  /** While a reply is written it can be stopped, and what a message does to it can be chosen. */
  setRunning(running) {
    // Only from the keyboard: to a finger, the field would bring up a keyboard that nobody asked for.
    if (!running && this.#busy.querySelector(":focus-visible")) this.focus();
    this.#busy.hidden = !running;
    this.#form.classList.toggle("running", running);
  }

  /** Put a text and files back, before what is written already. */
  restore(text, files = []) {
    this.attachments.restore(files);
    this.#field.value = [text, this.#field.value].filter(Boolean).join("\n");
    this.#changed();
    this.focus();
  }

  focus() {
    this.#field.focus();
  }

  #submit() {
    const text = this.#field.value;
    if (this.#send.disabled) return;
    this.#field.value = "";
    const files = this.attachments.take();
    this.#changed();
    this.onSend(text, this.#onBusy.value, files);
  }

  #takeFiles(event, { files }) {
    if (files.length === 0) return;
    event.preventDefault();
    this.attachments.add(files);
  }

  /** Escape stops the reply, wherever the focus is, unless it means something else there. */
  #onEscape(event) {
    // While a word is being composed, Escape ends that.
    if (event.key !== "Escape" || event.isComposing || event.defaultPrevented || this.#busy.hidden) return;
    const elsewhere = document.querySelector("dialog[open], .menu:popover-open") || event.target.closest?.(OTHERS);
    if (!elsewhere && !document.querySelector(".drawer-open")) this.#stopReply();
  }

  async #stopReply() {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#stop.setAttribute("aria-busy", "true");
    try {
      await this.onStop();
    } finally {
      this.#stopping = false;
      this.#stop.removeAttribute("aria-busy");
    }
  }

  #changed() {
    const text = this.#field.value;
    const length = characters(text);
    const ready = this.attachments.isReady && (isSendable(text) || (!this.attachments.isEmpty && text.trim() === ""));
    this.#send.disabled = !ready;
    this.#count.hidden = length < COUNT_FROM;
    this.#count.textContent = t("composer.count", { length: length.toLocaleString(), most: CONTENT_MAX.toLocaleString() });
    this.#count.classList.toggle("over", length > CONTENT_MAX);
    if (text) this.#storage?.set(this.#draft, text);
    else this.#storage?.remove(this.#draft);
    fitHeight(this.#field);
  }
}
