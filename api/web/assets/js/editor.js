// A message of a person, written anew in its place.

import { element } from "./element.js";
import { Problem } from "./problem.js";
import { fitHeight, isSendable, onEnter } from "./text_field.js";
import { t } from "./words.js";

export class MessageEditor {
  #field = element("textarea", { rows: 1, dir: "auto", aria: { label: t("message.new-text") } });
  #problem = element("p", { className: "problem", hidden: true });
  #save = element("button", { type: "submit", className: "button primary", textContent: t("save") });
  #onSave;
  #onClose;
  #busy = false;

  /**
   * `onSave(text)` does the work; its Problem is shown, and Save tries again. `onClose()` is called at the end. `note`
   * stands below the field.
   */
  constructor(text, { onSave, onClose, note = "" }) {
    this.#onSave = onSave;
    this.#onClose = onClose;
    this.#problem.setAttribute("role", "alert");
    const cancel = element("button", { type: "button", className: "button quiet", textContent: t("cancel") });
    cancel.addEventListener("click", () => this.#onClose());
    this.element = element(
      "form",
      { className: "message-editor" },
      this.#field,
      note ? element("p", { className: "message-note", textContent: note }) : null,
      this.#problem,
      element("div", { className: "dialog-actions" }, cancel, this.#save),
    );
    this.element.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.#onClose());
    this.#field.value = text;
    this.#field.addEventListener("input", () => this.#changed());
    onEnter(this.#field, () => this.#submit());
  }

  /** To be called once it is on the page, and whenever it is asked for again. */
  focus() {
    this.#changed();
    this.#field.focus();
    this.#field.setSelectionRange(this.#field.value.length, this.#field.value.length);
  }

  #changed() {
    this.#save.disabled = !isSendable(this.#field.value);
    fitHeight(this.#field);
  }

  async #submit() {
    if (this.#busy || !isSendable(this.#field.value)) return;
    this.#busy = true;
    this.#problem.hidden = true;
    this.element.setAttribute("aria-busy", "true");
    try {
      await this.#onSave(this.#field.value);
      this.#onClose();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#problem.textContent = error.whole;
      this.#problem.hidden = false;
    } finally {
      this.#busy = false;
      this.element.removeAttribute("aria-busy");
    }
  }
}
