// The account's rooms, newest activity first, live.

import { byId, element } from "./element.js";
import { icon } from "./icon.js";
import { Problem } from "./problem.js";
import { follow } from "./stream.js";
import { shownTime } from "./times.js";
import { language, t } from "./words.js";

const PAGE = 50;
const GONE = new Set(["DELETING", "DELETED"]);

export class RoomList {
  #api;
  #hooks;
  #stop = new AbortController();
  #rooms = new Map();
  #items = new Map();
  #nextCursor = null;
  /** Rooms that are not open, in which a reply is being written or has come: `running` or `news`. */
  #news = new Map();
  /** Rooms in which something waits for a decision. */
  #undecided = new Set();
  #selected = null;
  #list = byId("rooms");
  #note = byId("rooms-note");
  #more = byId("more-rooms");
  /** Scrolled to the end, the list goes on by itself. */
  #atEnd = new IntersectionObserver(([seen]) => seen.isIntersecting && !this.#more.disabled && this.#loadMore());

  /** `hooks`: `onChange(room)`, `onDeleted(roomId)`, `onProblem(problem)`, `personaTitle(name)`, `onMenu(room, button)`,
   * `onRecovered(signal)` when the list was read and its events follow, `onEvent(event)` for each of them. */
  constructor(api, hooks) {
    this.#api = api;
    this.#hooks = hooks;
  }

  /** Loads and follows until `close`; the task ends with a Problem only when coming back makes no sense. */
  async open() {
    const { signal } = this.#stop;
    this.#setNote(t("loading"));
    this.#more.addEventListener("click", () => this.#loadMore(), { signal });
    this.#atEnd.observe(this.#more);
    await follow({
      events: (options) => this.#api.accountEvents(options),
      signal,
      recover: async () => {
        const cursor = await this.#load();
        // Before the events that change it.
        await this.#hooks.onRecovered(signal);
        return cursor;
      },
      onEvent: (event) => (this.#apply(event), this.#hooks.onEvent(event)),
      onStatus: ({ state, problem }) => {
        if (state === "waiting" && problem && this.#rooms.size === 0) this.#setNote(problem.sentence);
      },
    });
  }

  close() {
    this.#stop.abort();
    this.#atEnd.disconnect();
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
    this.#news.delete(roomId);
    for (const [id, item] of this.#items) mark(item, id === roomId);
    if (this.#items.has(roomId)) this.#showSign(roomId);
  }

  /** In these rooms something waits for a decision. */
  setUndecided(roomIds) {
    const changed = [...this.#undecided, ...roomIds];
    this.#undecided = roomIds;
    for (const roomId of changed) if (this.#items.has(roomId)) this.#showSign(roomId);
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
    const page = await this.#api.listRooms({ limit: PAGE, signal: this.#stop.signal });
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
      const page = await this.#api.listRooms({ limit: PAGE, cursor: this.#nextCursor, signal: this.#stop.signal });
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
    this.#setNote(this.#rooms.size === 0 ? t("rooms.none") : "");
  }

  #setNote(text) {
    this.#note.textContent = text;
    this.#note.hidden = text === "";
  }

  #apply({ type, data }) {
    if (type === "room.created" || type === "room.updated") {
      this.#notice(data.room);
      this.set(data.room);
    }
    if (type === "room.deleted") this.remove(data.room_id);
  }

  /** A message and its reply have come in; when the reply ends, the room is told again with as many messages. */
  #notice(room) {
    const { room_id: roomId, message_count: count } = room;
    const before = this.#rooms.get(roomId)?.message_count ?? count;
    if (roomId === this.#selected) this.#news.delete(roomId);
    else if (count > before + 1) this.#news.set(roomId, "running");
    else if (this.#news.get(roomId) === "running" || count > before) this.#news.set(roomId, "news");
  }

  #showSign(roomId) {
    const sign = this.#items.get(roomId).querySelector(".room-sign");
    const news = this.#undecided.has(roomId) ? "undecided" : this.#news.get(roomId);
    sign.hidden = !news;
    sign.dataset.sign = news ?? "";
    sign.textContent = news ? t(`rooms.${news}`) : "";
  }

  /** Says above the first room of each group when its rooms were last used. */
  #showGroups() {
    let last = "";
    for (const item of this.#list.children) {
      const group = groupOf(item.dataset.at);
      const heading = item.querySelector(".room-group");
      heading.textContent = group;
      heading.hidden = group === last;
      last = group;
    }
  }

  #show(room) {
    this.#setNote("");
    const at = activity(room);
    const shown = element(
      "a",
      { href: `#/rooms/${room.room_id}` },
      element("span", { className: "room-name", dir: "auto", textContent: room.title || t("untitled") }),
      element(
        "span",
        { className: "room-about faint" },
        element("bdi", { textContent: this.#hooks.personaTitle(room.ai_persona) }),
        ` · ${shownTime(at)}`,
      ),
    );
    const item = this.#items.get(room.room_id) ?? element("li", { data: { roomId: room.room_id } });
    item.dataset.at = at;
    const menu = element("button", { type: "button", className: "button icon small room-menu" }, icon("more"));
    menu.setAttribute("aria-label", t("rooms.actions", { title: room.title || t("untitled") }));
    menu.setAttribute("aria-haspopup", "menu");
    menu.addEventListener("click", () => this.#hooks.onMenu(this.#rooms.get(room.room_id), menu));
    const sign = element("span", { className: "room-sign", hidden: true });
    // Where the focus was it stays: the room may be told again at any time.
    const focused = [".room-menu", "a"].find((part) => item.querySelector(part)?.contains(document.activeElement));
    item.replaceChildren(element("h2", { className: "room-group" }), shown, sign, menu);
    if (focused) item.querySelector(focused).focus();
    mark(item, room.room_id === this.#selected);
    this.#items.set(room.room_id, item);
    const next = [...this.#list.children].find((other) => other !== item && isOlder(other.dataset, item.dataset));
    if (item.nextElementSibling !== (next ?? null) || !item.isConnected) this.#list.insertBefore(item, next ?? null);
    this.#showSign(room.room_id);
    this.#showGroups();
  }
}

const DAY_MS = 86_400_000;

/** Today, yesterday, the last days, or the month, as the reader's own calendar counts. */
function groupOf(timestamp) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const at = Date.parse(timestamp);
  if (at >= midnight) return t("rooms.today");
  if (at >= midnight - DAY_MS) return t("rooms.yesterday");
  if (at >= midnight - 7 * DAY_MS) return t("rooms.week");
  if (at >= midnight - 30 * DAY_MS) return t("rooms.month");
  return new Intl.DateTimeFormat(language, { month: "long", year: "numeric" }).format(at);
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
  const link = item.querySelector("a");
  if (current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}
