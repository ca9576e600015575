// A call of a tool that waits for a person: what is asked, and their decision. It says which arguments were seen (`digest`),
// so that nobody approves what they did not read.

import { element } from "./element.js";
import { plain } from "./plain.js";
import { Problem } from "./problem.js";
import { shownTime } from "./times.js";
import { t } from "./words.js";

const REASON_MAX = 2_000;

export class ApprovalCard {
  #call;
  #onDecide;
  #arguments;
  #problem = element("p", { className: "problem", hidden: true });
  #actions = element("div", { className: "approval-actions" });
  #extra = element("div", { className: "approval-extra", hidden: true });
  #busy = false;

  constructor(call, since, onDecide) {
    this.#call = call;
    this.#onDecide = onDecide;
    this.#problem.setAttribute("role", "alert");
    this.#arguments = element("pre", { textContent: plain(written(call.arguments)), dir: "auto", tabIndex: 0, data: { foreign: "" } });
    const title = call.title || call.name;
    const name = element("strong", { textContent: title, dir: "auto", data: { foreign: "" } });
    this.element = element(
      "form",
      { className: "approval", tabIndex: -1, aria: { label: t("approval.label", { tool: title }) } },
      element("p", { className: "approval-heading" }, name, ` ${t("approval.heading")}`),
      title === call.name ? null : element("code", { textContent: call.name, data: { foreign: "" } }),
      this.#arguments,
      this.#extra,
      element("p", { className: "approval-about faint", textContent: about(call, since) }),
      this.#problem,
      this.#actions,
    );
    this.element.addEventListener("submit", (event) => event.preventDefault());
    this.element.addEventListener("keydown", (event) => this.#onKey(event));
    this.#offer();
  }

  #offer() {
    const buttons = [
      button("approve", t("approval.approve"), "primary", () => this.#decide({ decision: "approve" })),
      button("deny", t("approval.deny"), "", () => this.#askReason()),
    ];
    if (this.#call.editable) buttons.push(button("change", t("approval.edit"), "quiet", () => this.#askArguments()));
    this.#ask(null, buttons);
  }

  #askReason() {
    const field = element("input", { type: "text", maxLength: REASON_MAX, dir: "auto", autocomplete: "off" });
    const label = element("label", {}, t("approval.reason"), field);
    const deny = () => this.#decide({ decision: "deny", reason: field.value.trim() });
    this.#ask(label, [button("deny", t("approval.deny"), "danger", deny), this.#back()]);
  }

  #askArguments() {
    const field = element("textarea", { value: written(this.#call.arguments), rows: 6, spellcheck: false, dir: "auto" });
    const label = element("label", {}, t("approval.arguments"), field);
    const approve = () => {
      const given = objectIn(field.value);
      if (given) return this.#decide({ decision: "approve", arguments: given });
      this.#say(t("approval.no-object"));
      return field.focus();
    };
    this.#ask(label, [button("approve", t("approval.approve-edited"), "primary", approve), this.#back()]);
    this.#arguments.hidden = true;
  }

  #back() {
    return button("back", t("cancel"), "quiet", () => this.#offer());
  }

  /** Show other buttons, and what they need to know. */
  #ask(label, buttons) {
    const focused = this.element.contains(document.activeElement);
    this.#say("");
    this.#arguments.hidden = false;
    this.#extra.hidden = label === null;
    this.#extra.replaceChildren(...(label ? [label] : []));
    this.#actions.replaceChildren(...buttons);
    if (focused) (label?.querySelector("input, textarea") ?? buttons[0]).focus();
  }

  #onKey(event) {
    if (event.isComposing || this.#extra.hidden) return;
    if (event.key === "Escape") this.#offer();
    else if (event.key === "Enter" && event.target.localName === "input") this.#actions.firstElementChild.click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  async #decide(decision) {
    if (this.#busy) return;
    this.#busy = true;
    this.#say("");
    this.element.setAttribute("aria-busy", "true");
    try {
      await this.#onDecide(this.#call, { digest: this.#call.digest, ...decision });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#say(error.whole);
    } finally {
      this.#busy = false;
      this.element.removeAttribute("aria-busy");
    }
  }

  #say(text) {
    this.#problem.textContent = text;
    this.#problem.hidden = text === "";
  }
}

function button(name, textContent, look, run) {
  const made = element("button", { type: "button", className: `button ${look}`, textContent, data: { decision: name } });
  made.addEventListener("click", run);
  return made;
}

function about({ expires_at: until, client }, since) {
  const words = [t("approval.since", { at: shownTime(since) })];
  if (until) words.push(t("approval.until", { at: shownTime(until) }));
  if (client) words.push(t("approval.client"));
  return words.join(" ");
}

function written(value) {
  return JSON.stringify(value, null, 2);
}

/** The object that the text is in JSON, or null. */
function objectIn(text) {
  try {
    const found = JSON.parse(text);
    return found !== null && typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}
