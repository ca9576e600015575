// The files that go with the message that is being written: chosen, pasted or dropped, and uploaded at once.

import { element } from "./element.js";
import { icon } from "./icon.js";
import { t } from "./words.js";

export class Attachments {
  #list = [];
  element = element("ul", { className: "attachments", hidden: true });
  /** Set by whoever shows the room now: uploads a file, deletes one that is not sent, hears of changes and problems. */
  upload = async () => {};
  discard = async () => {};
  onChange = () => {};
  onProblem = () => {};

  /** Whether all of them are uploaded. */
  get isReady() {
    return this.#list.every((entry) => entry.part);
  }

  get isEmpty() {
    return this.#list.length === 0;
  }

  async add(files) {
    await Promise.all([...files].map((file) => this.#add(file)));
  }

  /** The parts of the message; from now on there are none. */
  take() {
    const parts = this.#list.map((entry) => entry.part);
    this.clear();
    return parts;
  }

  /** Put parts back that were not sent. */
  restore(parts) {
    for (const part of parts) this.#list.push({ name: part.name, part });
    this.#show();
  }

  clear() {
    this.#list = [];
    this.#show();
  }

  async #add(file) {
    const entry = { name: file.name || "image.png", part: null };
    this.#list.push(entry);
    this.#show();
    try {
      entry.part = partOf(await this.upload(file, entry.name));
      if (!this.#list.includes(entry)) await this.discard(entry.part.file_id);
    } catch (problem) {
      this.#remove(entry);
      this.onProblem(problem);
    }
    this.#show();
  }

  #remove(entry) {
    this.#list = this.#list.filter((found) => found !== entry);
    this.#show();
  }

  #show() {
    this.element.hidden = this.isEmpty;
    this.element.replaceChildren(...this.#list.map((entry) => this.#chip(entry)));
    this.onChange();
  }

  #chip(entry) {
    const label = t("file.remove", { name: entry.name });
    const button = element("button", { type: "button", className: "button icon small", title: label }, icon("withdraw"));
    button.setAttribute("aria-label", label);
    button.addEventListener("click", async () => {
      this.#remove(entry);
      try {
        if (entry.part) await this.discard(entry.part.file_id);
      } catch (problem) {
        this.onProblem(problem);
      }
    });
    const name = element("span", { dir: "auto", textContent: entry.name });
    const chip = element("li", { data: { state: entry.part ? "ready" : "uploading" } }, name, button);
    chip.setAttribute("aria-busy", String(!entry.part));
    return chip;
  }
}

function partOf({ file_id, name, media_type, size }) {
  return { type: media_type.startsWith("image/") ? "image" : "file", file_id, name, media_type, size };
}
