// The search above the rooms: titles that are loaded at once, and what was said from the server.

import { byId, element } from "./element.js";
import { Problem } from "./problem.js";
import { shownTime } from "./times.js";
import { t } from "./words.js";

const PAUSE_MS = 250;
const MOST = 20;

export class RoomSearch {
  #api;
  #rooms;
  #field = byId("search-field");
  #found = byId("found");
  #note = byId("found-note");
  #listening = new AbortController();
  /** Of the search that is under way; a newer one ends it. */
  #running = new AbortController();

  /** `rooms` is the list of rooms that are loaded. */
  constructor(api, rooms) {
    this.#api = api;
    this.#rooms = rooms;
    const { signal } = this.#listening;
    this.#field.addEventListener("input", () => this.#search(), { signal });
    this.#field.addEventListener("keydown", (event) => event.key === "Escape" && this.#clear(), { signal });
  }

  close() {
    this.#listening.abort();
    this.#clear();
  }

  #clear() {
    this.#field.value = "";
    this.#search();
  }

  async #search() {
    this.#running.abort();
    this.#running = new AbortController();
    const { signal } = this.#running;
    const query = this.#field.value.trim();
    byId("room-nav").classList.toggle("searching", query !== "");
    this.#found.hidden = query === "";
    this.#found.replaceChildren();
    this.#say("");
    if (query === "") return;
    const titled = this.#rooms.titled(query);
    this.#found.append(...titled.map((room) => entry(room.room_id, room.title, null)));
    try {
      await pause(PAUSE_MS, signal);
      const results = await newest(this.#api.search(query, { limit: MOST, signal }));
      const titles = await Promise.all(results.map((result) => this.#title(result.room_id, signal)));
      if (signal.aborted) return;
      this.#found.append(...results.map((result, index) => entry(result.room_id, titles[index], result)));
      if (titled.length + results.length === 0) this.#say(t("search.nothing"));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      // A query of punctuation alone is one that is still being written.
      this.#say(error.status === 422 ? "" : error.sentence);
    }
  }

  async #title(roomId, signal) {
    const known = this.#rooms.get(roomId);
    if (known) return known.title;
    try {
      return (await this.#api.getRoom(roomId, { signal })).title;
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return ""; // Deleted a moment ago.
      throw error;
    }
  }

  #say(text) {
    this.#note.textContent = text;
    this.#note.hidden = text === "";
  }
}

async function newest(found) {
  const results = [];
  for await (const result of found) if (results.push(result) === MOST) break;
  return results;
}

function entry(roomId, title, result) {
  const about = result && element("span", { className: "room-about faint", textContent: shownTime(result.timestamp) });
  return element(
    "li",
    {},
    element(
      "a",
      { href: result ? `#/rooms/${roomId}/${result.seq}` : `#/rooms/${roomId}` },
      element("span", { className: "room-name", dir: "auto", textContent: title || t("untitled") }),
      result && element("span", { className: "found-text", dir: "auto" }, ...marked(result)),
      about,
    ),
  );
}

/** The snippet with its matches marked. Positions are in characters, which are not JavaScript's units. */
function marked({ snippet, highlights }) {
  const characters = [...snippet];
  const parts = [];
  let shown = 0;
  for (const [from, to] of highlights) {
    parts.push(characters.slice(shown, from).join(""));
    parts.push(element("mark", { textContent: characters.slice(from, to).join("") }));
    shown = to;
  }
  return [...parts, characters.slice(shown).join("")];
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
