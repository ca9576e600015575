// The accounts, what they used, and the button that shuts one out.

import { confirm } from "../dialog.js";
import { byId, element } from "../element.js";
import { announce } from "../notice.js";
import { plain } from "../plain.js";
import { shownTime } from "../times.js";
import { t } from "../words.js";
import { cost, count } from "./numbers.js";
import { Pages, expected } from "./pages.js";

export class AccountsView {
  #api;
  #signal;
  #pages;

  constructor(api, signal) {
    this.#api = api;
    this.#signal = signal;
    this.#pages = new Pages(byId("more-accounts"), (cursor) => this.#page(cursor), signal);
    byId("find-account").addEventListener("submit", (event) => (event.preventDefault(), this.#find()), { signal });
  }

  open() {
    return this.#pages.first();
  }

  async #page(cursor) {
    const { accounts, next_cursor: next } = await this.#api.listAccounts({ cursor }, this.#signal);
    const rows = accounts.map((account) => new AccountRow(this.#api, account, this.#signal));
    if (cursor === null) byId("accounts").replaceChildren();
    byId("accounts").append(...rows.map((row) => row.element));
    // One after the other: each asks the account's shard.
    for (const row of rows) await row.fill();
    return next;
  }

  /** One account by its name, or all of them again without one. */
  async #find() {
    const name = byId("account-field").value.trim();
    if (!name) return this.open();
    return expected(this.#signal, async () => {
      const account = await this.#api.getAccount(name, this.#signal);
      const row = new AccountRow(this.#api, account, this.#signal);
      byId("accounts").replaceChildren(row.element);
      row.show(account);
      byId("more-accounts").hidden = true;
    });
  }
}

class AccountRow {
  #api;
  #signal;
  #account;
  #state = element("td");
  #counted = ["rooms", "messages", "tokens", "cost"].map((data) => element("td", { className: "number", data: { data } }));
  #button = element("button", { type: "button", className: "button small" });

  constructor(api, account, signal) {
    this.#api = api;
    this.#signal = signal;
    this.#account = account;
    const name = element("th", { scope: "row", textContent: plain(account.account_id), dir: "auto", data: { foreign: "" } });
    const actions = element("td", { className: "actions" }, this.#button);
    this.element = element("tr", {}, name, this.#state, ...this.#counted, actions);
    this.element.dataset.account = account.account_id;
    this.#button.addEventListener("click", () => this.#change());
    this.#standing();
  }

  async fill() {
    await expected(this.#signal, async () => this.show(await this.#api.getAccount(this.#account.account_id, this.#signal)));
  }

  show(account) {
    this.#account = account;
    const { usage } = account;
    const tokens = count(usage.input_tokens + usage.output_tokens);
    const shown = [count(account.rooms), count(usage.messages), tokens, cost(usage.cost)];
    this.#counted.forEach((cell, index) => (cell.textContent = shown[index]));
    this.#standing();
  }

  #standing() {
    const { standing, disabled, standing_since: since } = this.#account;
    const text = t(`admin.standing.${standing}`);
    this.#state.textContent = since && standing !== "active" ? t("admin.since", { state: text, at: shownTime(since) }) : text;
    this.#state.className = standing === "active" ? "" : "is-wrong";
    this.#button.textContent = t(disabled ? "admin.enable" : "admin.disable");
    const name = { account: plain(this.#account.account_id) };
    this.#button.setAttribute("aria-label", t(disabled ? "admin.enable.label" : "admin.disable.label", name));
    this.#button.hidden = standing === "deleted";
  }

  async #change() {
    const { account_id: name, disabled } = this.#account;
    const work = () => this.#api.setDisabled(name, !disabled);
    if (disabled) {
      await expected(this.#signal, async () => this.show(await work()));
      return;
    }
    const question = {
      heading: t("admin.disable.heading"),
      text: t("admin.disable.text", { account: plain(name) }),
      button: t("admin.disable"),
    };
    const changed = await confirm(question, work);
    if (!changed) return;
    this.show(changed);
    announce(this.#state.textContent);
  }
}
