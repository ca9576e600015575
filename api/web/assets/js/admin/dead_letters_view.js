// Operations that a shard refused: put back into their queue, or given up.

import { confirm } from "../dialog.js";
import { byId, element } from "../element.js";
import { announce, notify } from "../notice.js";
import { plain } from "../plain.js";
import { shownTime } from "../times.js";
import { t } from "../words.js";
import { Pages, expected } from "./pages.js";

export class DeadLettersView {
  #api;
  #signal;
  #pages;

  constructor(api, signal) {
    this.#api = api;
    this.#signal = signal;
    this.#pages = new Pages(byId("more-dead-letters"), (cursor) => this.#page(cursor), signal);
  }

  open() {
    return this.#pages.first();
  }

  async #page(cursor) {
    const { dead_letters: found, next_cursor: next } = await this.#api.listDeadLetters({ cursor }, this.#signal);
    const items = found.map((one) => this.#item(one));
    if (cursor === null) byId("dead-letters").replaceChildren(...items);
    else byId("dead-letters").append(...items);
    this.#count();
    return next;
  }

  #item(one) {
    const subject = t("admin.dead-letter.about", { account: plain(one.account_id), room: one.room_id, at: shownTime(one.parked_at) });
    const button = (name, className) =>
      element("button", { type: "button", className, textContent: t(`admin.${name}`), data: { action: name } });
    const replay = button("replay", "button");
    const drop = button("drop", "button quiet");
    const text = element(
      "div",
      { className: "card-text" },
      element("p", { textContent: `${one.op} · ${plain(one.reason)}`, data: { foreign: "" } }),
      element("p", { textContent: subject, data: { foreign: "" } }),
    );
    const item = element("li", { data: { id: one.id } }, text, replay, drop);
    const done = (said) => {
      item.remove();
      this.#count();
      announce(said);
      notify(said);
    };
    replay.addEventListener("click", () =>
      expected(this.#signal, async () => {
        await this.#api.replayDeadLetter(one.id);
        done(t("admin.replayed"));
      }),
    );
    drop.addEventListener("click", async () => {
      const question = { heading: t("admin.drop.heading"), text: t("admin.drop.text"), button: t("admin.drop") };
      // What the dialog is left with is not an answer.
      if (await confirm(question, () => this.#api.dropDeadLetter(one.id))) done(t("admin.dropped"));
    });
    return item;
  }

  #count() {
    const none = byId("dead-letters").childElementCount === 0;
    byId("dead-letters-note").textContent = t("admin.dead-letters.none");
    byId("dead-letters-note").hidden = !none;
  }
}
