// The calls of tools that wait for this account's decision, over all of its rooms.

import { byId } from "./element.js";
import { openMenu } from "./menu.js";
import { Problem } from "./problem.js";
import { shownTime } from "./times.js";
import { t } from "./words.js";

export class ApprovalList {
  #api;
  #hooks;
  /** `{ room_id, message_id, part }` by what they are about. */
  #waiting = new Map();
  #button = byId("approvals");
  #listening = new AbortController();

  /**
   * `hooks`: `titleOf(roomId)`, `onChange(roomIds)` hears in which rooms something waits, `onGoTo(roomId, messageId)`,
   * `onProblem(problem)`.
   */
  constructor(api, hooks) {
    this.#api = api;
    this.#hooks = hooks;
    this.#button.addEventListener("click", () => this.choose(this.#button), { signal: this.#listening.signal });
  }

  /** Read them anew: events were missed, or none have been read yet. */
  async load(signal) {
    try {
      const found = new Map();
      for await (const each of this.#api.approvals({ signal })) found.set(keyOf(each), each);
      this.#waiting = found;
      this.#show();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.#hooks.onProblem(error);
    }
  }

  /** Take an event of the account in; others than those of approvals change nothing. */
  apply({ type, data }) {
    if (type === "approval.requested") this.#waiting.set(keyOf(data), data);
    else if (type === "approval.decided") this.#waiting.delete(keyOf(data));
    else if (type === "room.deleted") this.#forgetRoom(data.room_id);
    else return;
    this.#show();
  }

  close() {
    this.#listening.abort();
    this.#waiting.clear();
    this.#show();
  }

  get isEmpty() {
    return this.#waiting.size === 0;
  }

  /** Have one of them chosen, and go there. */
  choose(button) {
    const items = [...this.#waiting.values()].map(({ room_id: roomId, message_id: messageId, part }) => ({
      label: part.title || part.name,
      about: aboutOf(this.#hooks.titleOf(roomId), part.expires_at),
      run: () => this.#hooks.onGoTo(roomId, messageId),
    }));
    openMenu(button, items, t("approvals"));
  }

  #forgetRoom(roomId) {
    for (const [key, each] of this.#waiting) if (each.room_id === roomId) this.#waiting.delete(key);
  }

  #show() {
    const count = this.#waiting.size;
    const words = count === 1 ? t("approvals.one") : t("approvals.many", { count });
    this.#button.hidden = count === 0;
    this.#button.textContent = words;
    const drawer = byId("open-drawer");
    drawer.dataset.waits = String(count > 0);
    drawer.setAttribute("aria-label", count > 0 ? `${t("rooms")}, ${words}` : t("rooms"));
    this.#hooks.onChange(new Set([...this.#waiting.values()].map((each) => each.room_id)));
  }
}

function keyOf({ message_id: messageId, part }) {
  return `${messageId} ${part.tool_call_id}`;
}

function aboutOf(title, until) {
  return [title, until && t("approvals.until", { at: shownTime(until) })].filter(Boolean).join(" · ");
}
