// The account's rooms, newest activity first, live.

import { byId, element } from "./element.js";
import { shownTime } from "./message_view.js";
import { Problem } from "./problem.js";
import { follow } from "./stream.js";

const PAGE = 50;
const GONE = new Set(["DELETING", "DELETED"]);

export class RoomList {
  #api;
  #hooks;
  #stop = new AbortController();
  #rooms = new Map();
  #items = new Map();
  #nextCursor = null;
  #selected = null;
  #list = byId("rooms");
  #note = byId("rooms-note");
  #more = byId("more-rooms");

  /** `hooks`: `onChange(room)`, `onDeleted(roomId)`, `onProblem(problem)`, `personaTitle(name)`. */
  constructor(api, hooks) {
    this.#api = api;
    this.#hooks = hooks;
  }

  /** Loads and follows until `close`; the task ends with a Problem only when coming back makes no sense. */
  async open() {
    const { signal } = this.#stop;
    this.#setNote("Loading…");
    this.#more.addEventListener("click", () => this.#loadMore(), { signal });
    await follow({
      api: this.#api,
      path: "events",
      signal,
      recover: () => this.#load(),
      onEvent: (event) => this.#apply(event),
      onStatus: ({ state, problem }) => {
        if (state === "waiting" && problem && this.#rooms.size === 0) this.#setNote(problem.sentence);
      },
    });
  }

  close() {
    this.#stop.abort();
    this.#rooms.clear();
    this.#items.clear();
    this.#list.replaceChildren();
    this.#more.hidden = true;
    this.#setNote("");
  }

  get(roomId) {
    return this.#rooms.get(roomId);
  }

  /** Those that are loaded and have this in their titles, newest activity first. */
  titled(text) {
    const wanted = text.toLocaleLowerCase();
    const ids = [...this.#list.children].map((item) => item.dataset.roomId);
    return ids.map((id) => this.#rooms.get(id)).filter((room) => room.title?.toLocaleLowerCase().includes(wanted));
  }

  select(roomId) {
    this.#selected = roomId;
    for (const [id, item] of this.#items) mark(item, id === roomId);
  }

  /** A room as an answer or an event tells it. */
  set(room) {
    if (GONE.has(room.state)) {
      this.remove(room.room_id);
      return;
    }
    this.#rooms.set(room.room_id, room);
    this.#show(room);
    this.#hooks.onChange(room);
  }

  remove(roomId) {
    this.#items.get(roomId)?.remove();
    this.#items.delete(roomId);
    if (this.#rooms.delete(roomId)) this.#showEmpty();
    this.#hooks.onDeleted(roomId);
  }

  async #load() {
    const page = await this.#api.listRooms({ limit: PAGE }, this.#stop.signal);
    const before = [...this.#rooms.keys()];
    this.#rooms.clear();
    this.#items.clear();
    this.#list.replaceChildren();
    for (const room of page.rooms) this.set(room);
    this.#showPaging(page);
    // Rooms that went while nobody listened; with more pages than one, an absent room may just be further down.
    if (page.next_cursor === null) for (const id of before) if (!this.#rooms.has(id)) this.#hooks.onDeleted(id);
    if (!page.events_cursor) throw new Problem({ status: 503, code: "cache-unavailable" });
    return page.events_cursor;
  }

  async #loadMore() {
    this.#more.disabled = true;
    try {
      const page = await this.#api.listRooms({ limit: PAGE, cursor: this.#nextCursor }, this.#stop.signal);
      // A room that is here already was told by a newer event.
      for (const room of page.rooms) if (!this.#rooms.has(room.room_id)) this.set(room);
      this.#showPaging(page);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#hooks.onProblem(error);
    } finally {
      this.#more.disabled = false;
    }
  }

  #showPaging(page) {
    this.#nextCursor = page.next_cursor;
    this.#more.hidden = page.next_cursor === null;
    this.#showEmpty();
  }

  #showEmpty() {
    this.#setNote(this.#rooms.size === 0 ? "No rooms yet." : "");
  }

  #setNote(text) {
    this.#note.textContent = text;
    this.#note.hidden = text === "";
  }

  #apply({ type, data }) {
    if (type === "room.created" || type === "room.updated") this.set(data.room);
    else if (type === "room.deleted") this.remove(data.room_id);
  }

  #show(room) {
    this.#setNote("");
    const at = activity(room);
    const shown = element(
      "a",
      { href: `#/rooms/${room.room_id}` },
      element("span", { className: "room-name", dir: "auto", textContent: room.title || "Untitled" }),
      element(
        "span",
        { className: "room-about faint" },
        element("bdi", { textContent: this.#hooks.personaTitle(room.ai_persona) }),
        ` · ${shownTime(at)}`,
      ),
    );
    const item = this.#items.get(room.room_id) ?? element("li", { data: { roomId: room.room_id } });
    item.dataset.at = at;
    item.replaceChildren(shown);
    mark(item, room.room_id === this.#selected);
    this.#items.set(room.room_id, item);
    const next = [...this.#list.children].find((other) => other !== item && isOlder(other.dataset, item.dataset));
    if (item.nextElementSibling !== (next ?? null) || !item.isConnected) this.#list.insertBefore(item, next ?? null);
  }
}

function activity(room) {
  return room.last_message_at ?? room.created_at;
}

/** The server's own order: newest activity first, and of two at once the higher id. */
function isOlder(one, other) {
  const difference = Date.parse(one.at) - Date.parse(other.at);
  return difference === 0 ? one.roomId < other.roomId : difference < 0;
}

function mark(item, current) {
  const link = item.firstElementChild;
  if (current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}
