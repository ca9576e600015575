// On a narrow screen the list of rooms is a drawer; on a wide one it is always there.

import { byId } from "./element.js";
import { icon } from "./icon.js";

const NARROW = window.matchMedia("(max-width: 760px)");

export class Drawer {
  #sidebar = byId("sidebar");
  #workspace = byId("workspace");
  #button = byId("open-drawer");

  constructor() {
    this.#button.append(icon("menu"));
    this.#button.addEventListener("click", () => this.#set(true));
    byId("drawer-backdrop").addEventListener("click", () => this.close());
    this.#sidebar.addEventListener("click", (event) => event.target.closest("a") && this.close());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#isOpen) this.close();
    });
    NARROW.addEventListener("change", () => this.#set(false));
    this.#set(false);
  }

  open() {
    this.#set(true);
  }

  close() {
    const opened = this.#isOpen;
    this.#set(false);
    if (opened) this.#button.focus();
  }

  get #isOpen() {
    return this.#workspace.classList.contains("drawer-open");
  }

  #set(open) {
    this.#workspace.classList.toggle("drawer-open", open && NARROW.matches);
    this.#sidebar.inert = NARROW.matches && !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (open) this.#sidebar.querySelector("button, a").focus();
  }
}
