// Ctrl+K: go to a room or do something, with the keyboard alone.

import { byId, element } from "./element.js";

const MOST = 12;

export class Palette {
  #dialog = byId("palette");
  #field = byId("palette-field");
  #list = byId("palette-list");
  #entries;
  #shown = [];
  #at = 0;

  /** `entries()` are `{ label, run }`, what can be done first, then rooms. */
  constructor(entries) {
    this.#entries = entries;
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      if (document.querySelector("dialog[open]") || this.#entries().length === 0) return;
      event.preventDefault();
      this.open();
    });
    this.#field.addEventListener("input", () => this.#show());
    this.#field.addEventListener("keydown", (event) => this.#onKey(event));
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
  }

  open() {
    this.#field.value = "";
    this.#show();
    this.#dialog.showModal();
  }

  #show() {
    const wanted = this.#field.value.trim().toLocaleLowerCase();
    const found = this.#entries().filter(({ label }) => label.toLocaleLowerCase().includes(wanted));
    this.#shown = found.slice(0, MOST);
    this.#list.replaceChildren(
      ...this.#shown.map((entry, index) => {
        const item = element("li", { id: `palette-${index}`, textContent: entry.label, dir: "auto" });
        item.setAttribute("role", "option");
        item.addEventListener("click", () => this.#run(index));
        return item;
      }),
    );
    this.#mark(0);
  }

  #mark(index) {
    this.#at = index;
    for (const [place, item] of [...this.#list.children].entries()) {
      item.setAttribute("aria-selected", String(place === index));
      if (place === index) item.scrollIntoView({ block: "nearest" });
    }
    if (this.#shown.length) this.#field.setAttribute("aria-activedescendant", `palette-${index}`);
    else this.#field.removeAttribute("aria-activedescendant");
  }

  #onKey(event) {
    const count = this.#shown.length;
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && count) this.#mark((this.#at + 1) % count);
    else if (event.key === "ArrowUp" && count) this.#mark((this.#at + count - 1) % count);
    else if (event.key === "Enter") this.#run(this.#at);
    else return;
    event.preventDefault();
  }

  #run(index) {
    const entry = this.#shown[index];
    if (!entry) return;
    this.#dialog.close();
    entry.run();
  }
}
