// The welcome: a first message can be written at once, and makes its room.

import { byId, element } from "./element.js";
import { icon } from "./icon.js";
import { notify } from "./notice.js";
import { Problem } from "./problem.js";
import { fitHeight, isSendable, onEnter } from "./text_field.js";

const DRAFT = "draft/first";

export class FirstMessage {
  #form = byId("first-form");
  #field = byId("first-field");
  #send = byId("first-send");
  #persona = byId("first-persona");
  #storage = null;
  #begin;

  /** `begin({ text, persona })` makes the room and sends the message. */
  constructor(begin) {
    this.#begin = begin;
    this.#send.append(icon("send"));
    this.#field.addEventListener("input", () => this.#changed());
    onEnter(this.#field, () => this.#submit());
    this.#form.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
  }

  open(personas, storage) {
    this.#storage = storage;
    const options = personas.map(({ name, title }) => element("option", { value: name, textContent: title || name }));
    this.#persona.replaceChildren(...options);
    this.#persona.hidden = personas.length < 2;
    this.#field.value = storage.get(DRAFT) ?? "";
    this.#changed();
  }

  async #submit() {
    const text = this.#field.value;
    if (this.#send.disabled) return;
    this.#send.disabled = true;
    try {
      await this.#begin({ text, persona: this.#persona.value });
      this.#field.value = "";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status !== 401) notify(error.whole);
    }
    this.#changed();
  }

  #changed() {
    const text = this.#field.value;
    this.#send.disabled = !isSendable(text);
    if (text) this.#storage.set(DRAFT, text);
    else this.#storage.remove(DRAFT);
    fitHeight(this.#field);
  }
}
