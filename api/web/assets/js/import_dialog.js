// Bringing conversations along from another program's export file.

import { byId, element } from "./element.js";
import { keepTurns, roomFor } from "./foreign_turns.js";
import { LEFT, readExport } from "./import_formats.js";
import { Problem } from "./problem.js";
import { shownTime } from "./times.js";
import { t } from "./words.js";

export class ImportDialog {
  #dialog = byId("import-dialog");
  #file = byId("import-file");
  #list = byId("import-list");
  #about = byId("import-about");
  #said = byId("import-said");
  #progress = byId("import-progress");
  #submit = byId("import-submit");
  #api;
  #persona;
  #found = null;
  #running = null;

  /** `persona()` names who answers in the rooms that are made. */
  constructor(api, persona) {
    this.#api = api;
    this.#persona = persona;
    const form = this.#dialog.querySelector("form");
    this.#file.onchange = () => this.#read();
    form.onsubmit = (event) => (event.preventDefault(), this.#start());
    byId("import-all").onchange = ({ target }) => this.#chooseAll(target.checked);
    this.#list.onchange = () => this.#showChosen();
    byId("import-close").onclick = () => this.#dialog.close();
    this.#dialog.onclose = () => this.#running?.abort();
  }

  open() {
    this.#file.value = "";
    this.#show(null);
    this.#dialog.showModal();
  }

  async #read() {
    const [file] = this.#file.files;
    if (!file) return;
    const found = readExport(await file.text());
    this.#show(found);
    if (!found) this.#say(t("import.unknown"), true);
  }

  #show(found) {
    this.#found = found;
    this.#say("");
    this.#progress.hidden = true;
    byId("import-found").hidden = !found;
    byId("import-all").checked = true;
    this.#list.replaceChildren(...(found?.conversations ?? []).map(choice));
    this.#about.replaceChildren(...(found ? lossesOf(found) : []));
    this.#showChosen();
  }

  get #chosen() {
    const boxes = [...this.#list.querySelectorAll("input")];
    return boxes.filter((box) => box.checked).map((box) => this.#found.conversations[Number(box.value)]);
  }

  #chooseAll(checked) {
    for (const box of this.#list.querySelectorAll("input:enabled")) box.checked = checked;
    this.#showChosen();
  }

  #showChosen() {
    const count = this.#found ? this.#chosen.length : 0;
    this.#submit.disabled = count === 0 || this.#running !== null;
    this.#submit.textContent = t("import.button", { count });
  }

  async #start() {
    // The newest comes last, so that it stands first among the rooms.
    const chosen = this.#chosen.sort((one, other) => (one.at ?? "").localeCompare(other.at ?? ""));
    const total = chosen.reduce((sum, { turns }) => sum + turns.length, 0);
    this.#running = new AbortController();
    const { signal } = this.#running;
    this.#progress.max = total;
    this.#progress.value = 0;
    this.#progress.hidden = false;
    this.#say("");
    this.#showChosen();
    let done = 0;
    try {
      for (const conversation of chosen) {
        const room = await roomFor(this.#api, this.#found.source, conversation, this.#persona(), signal);
        const onTurn = () => (this.#progress.value += 1);
        const turns = conversation.turns.map((turn) => ({ ...turn, from: this.#found.source, files: [] }));
        await keepTurns(this.#api, room.room_id, turns, { signal, onTurn });
        done += 1;
      }
      this.#say(t("import.done", { count: done }));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      // What is there already is found again: the same file goes on where this ended.
      this.#say(t("import.failed", { count: done, total: chosen.length, problem: error.whole }), true);
    } finally {
      this.#running = null;
      this.#progress.hidden = true;
      this.#showChosen();
    }
  }

  #say(text, failed = false) {
    this.#said.textContent = text;
    this.#said.hidden = text === "";
    this.#said.classList.toggle("problem", failed);
  }
}

function choice({ title, at, turns }, index) {
  const box = element("input", { type: "checkbox", value: String(index), checked: turns.length > 0, disabled: turns.length === 0 });
  const about = [t("import.turns", { count: turns.length }), at && shownTime(at)].filter(Boolean).join(" · ");
  return element(
    "li",
    {},
    element(
      "label",
      {},
      box,
      element("span", { textContent: title || t("untitled"), dir: "auto", data: { foreign: "" } }),
      element("span", { className: "faint", textContent: about }),
    ),
  );
}

/** What is not as it was. */
function lossesOf({ source, conversations }) {
  const lost = LEFT.map((name) => [name, conversations.reduce((sum, { left }) => sum + left[name], 0)]);
  return [
    element("li", { textContent: t("import.lost.replies", { source }) }),
    element("li", { textContent: t("import.lost.times") }),
    ...lost.filter(([, count]) => count > 0).map(([name, count]) => element("li", { textContent: t(`import.lost.${name}`, { count }) })),
  ];
}
