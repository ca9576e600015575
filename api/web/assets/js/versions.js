// What a message said before: attempts of a reply, edits of a message.

import { element } from "./element.js";
import { icon } from "./icon.js";
import { Problem } from "./problem.js";
import { t } from "./words.js";

/** The switcher below a message: ‹ 2/3 ›. It is there only when there is more than one version. */
export class VersionSwitcher {
  #all = [];
  /** Those among which the person chooses: the attempts that answer what the question says. */
  #versions = [];
  #attempts = { from: 0, below: Infinity };
  #index = 0;
  #onChoose;
  #previous = arrow("previous", t("versions.before"));
  #next = arrow("next", t("versions.after"));
  #place = element("span", { className: "versions-place" });
  #ask = element("button", { type: "button", className: "button quiet small", textContent: t("versions.ask") });
  element = element("div", { className: "versions", hidden: true, aria: { label: t("versions") } });

  /** `onChoose(words)` is called when another version is to be shown, `onAsk()` when they are to be fetched. */
  constructor({ onChoose, onAsk }) {
    this.#onChoose = onChoose;
    this.element.setAttribute("role", "group");
    this.element.append(this.#previous, this.#place, this.#next, this.#ask);
    this.#ask.addEventListener("click", onAsk);
    this.#previous.addEventListener("click", () => this.#choose(this.#index - 1));
    this.#next.addEventListener("click", () => this.#choose(this.#index + 1));
  }

  /** The earlier version that is to be shown; null for what the message says now. */
  get earlier() {
    const chosen = this.#versions[this.#index] ?? this.#all.at(-1);
    return chosen === this.#all.at(-1) ? null : chosen;
  }

  /** Of a question: the attempts of its reply that answer the version that is shown; null while versions are not known. */
  get answers() {
    if (this.#all.length === 0) return null;
    const shown = this.#all.indexOf(this.earlier ?? this.#all.at(-1));
    const later = this.#all.slice(shown + 1).map(answeredFrom);
    return { from: answeredFrom(this.#all[shown]), below: later.find((attempt) => attempt > 0) ?? Infinity };
  }

  /** Ascending; the last is what the message says now, and that is shown. None: it is not known. */
  set(versions) {
    this.#all = versions;
    this.#choices();
  }

  /** Show what the message says now; returns whether that changes anything. */
  showNewest() {
    if (this.earlier === null) return false;
    this.#choices();
    return true;
  }

  /** Offer only the attempts that answer a version of the question; returns whether that changes anything. */
  limit({ from, below }) {
    if (from === this.#attempts.from && below === this.#attempts.below) return false;
    this.#attempts = { from, below };
    this.#choices();
    return true;
  }

  #choices() {
    const { from, below } = this.#attempts;
    this.#versions = this.#all.filter(({ attempt }) => attempt >= from && attempt < below);
    this.#index = Math.max(0, this.#versions.length - 1);
    this.#show();
  }

  /** They could not be fetched: the person may try. */
  offer() {
    this.set([]);
    this.element.hidden = false;
    for (const part of this.element.children) part.hidden = part !== this.#ask;
  }

  #choose(index) {
    if (index < 0 || index >= this.#versions.length) return;
    this.#index = index;
    this.#show();
    this.#onChoose(t("versions.chosen", { number: index + 1, count: this.#versions.length }));
  }

  #show() {
    const count = this.#versions.length;
    this.element.hidden = count < 2;
    for (const part of this.element.children) part.hidden = part === this.#ask;
    this.#place.textContent = `${this.#index + 1}/${count}`;
    // Not `disabled`: that would take the focus away from whoever is paging.
    this.#previous.setAttribute("aria-disabled", String(this.#index === 0));
    this.#next.setAttribute("aria-disabled", String(this.#index >= count - 1));
  }
}

/** The first attempt of the reply that answers this version of a question; 0 when the question was not edited before it. */
export function answeredFrom(question) {
  return question?.metadata?.answered_from ?? 0;
}

/** Asks for the versions of the messages that come into view, one message at a time. */
export class VersionLoader {
  #load;
  #observer;
  #chain = Promise.resolve();
  #views = new Map();

  /** `load(message)` resolves to the versions; `root` is the element that scrolls. */
  constructor(load, root) {
    this.#load = load;
    this.#observer = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) if (isIntersecting) this.#ask(target);
    }, { root });
  }

  /** To be called whenever a message has changed. */
  watch(view) {
    if (!view.wantsVersions || this.#views.has(view.element)) return;
    this.#views.set(view.element, view);
    this.#observer.observe(view.element);
  }

  /** The message has left the page. */
  forget(view) {
    if (this.#views.delete(view.element)) this.#observer.unobserve(view.element);
  }

  close() {
    this.#observer.disconnect();
    this.#views.clear();
  }

  #ask(target) {
    const view = this.#views.get(target);
    if (!view) return;
    this.#observer.unobserve(target);
    this.#chain = this.#chain.then(() => this.#fetch(view));
  }

  async #fetch(view) {
    try {
      if (view.wantsVersions && this.#views.has(view.element)) view.showVersions(await this.#load(view.message));
    } catch (error) {
      if (!(error instanceof Problem) && error?.name !== "AbortError") throw error;
      view.offerVersions();
    } finally {
      this.#views.delete(view.element);
    }
  }
}

function arrow(name, label) {
  const button = element("button", { type: "button", className: "button icon small", title: label, aria: { label } });
  button.append(icon(name));
  return button;
}
