// Where a message is written.

import { byId } from "./element.js";
import { icon } from "./icon.js";
import { characters } from "./transcript.js";

/** The server's default limit of a message, in characters. */
const CONTENT_MAX = 32_768;
const COUNT_FROM = CONTENT_MAX - 2_000;

export class Composer {
  #form = byId("composer");
  #field = byId("composer-field");
  #send = byId("send");
  #count = byId("composer-count");
  #draftKey = null;
  /** Set by whoever shows the room now; gets the text. */
  onSend = () => {};

  constructor() {
    this.#send.append(icon("send"));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("input", () => this.#changed());
  }

  /** Take up a room's draft. */
  open(roomId) {
    this.#draftKey = `parlor.draft.${roomId}`;
    this.#field.value = sessionStorage.getItem(this.#draftKey) ?? "";
    this.#changed();
  }

  /** Put a text back, before what is written already. */
  restore(text) {
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
    this.#changed();
    this.onSend(text);
  }

  #changed() {
    const text = this.#field.value;
    const length = characters(text);
    this.#send.disabled = text.trim() === "" || length > CONTENT_MAX;
    this.#count.hidden = length < COUNT_FROM;
    this.#count.textContent = `${length.toLocaleString()} of ${CONTENT_MAX.toLocaleString()} characters`;
    this.#count.classList.toggle("over", length > CONTENT_MAX);
    if (this.#draftKey && text) sessionStorage.setItem(this.#draftKey, text);
    else if (this.#draftKey) sessionStorage.removeItem(this.#draftKey);
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}
