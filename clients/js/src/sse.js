// Server-sent events, from text that comes in any pieces (WHATWG HTML, section 9.2.6).

import { BadAnswer } from "./errors.js";

export class EventParser {
  /** The id of the last event, also of one without data. */
  cursor;
  heartbeats = 0;
  #rest = "";
  #id;
  #type = "";
  #data = [];

  constructor(cursor = null) {
    this.cursor = this.#id = cursor;
  }

  /** The events that are whole now. Throws `BadAnswer` for data that is not a JSON object. */
  push(piece) {
    const text = this.#rest + piece;
    // A \r at the end may be half of \r\n.
    const held = text.endsWith("\r") ? "\r" : "";
    const lines = text.slice(0, text.length - held.length).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + held;
    return lines.map((line) => this.#line(line)).filter((event) => event !== null);
  }

  #line(line) {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "") this.heartbeats += value === "ping" ? 1 : 0;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "event") this.#type = value;
    else if (name === "data") this.#data.push(value);
    return null;
  }

  #end() {
    this.cursor = this.#id;
    const [type, data] = [this.#type || "message", this.#data];
    this.#type = "";
    this.#data = [];
    return data.length ? { id: this.cursor ?? "", type, data: parsed(data.join("\n")) } : null;
  }
}

/** An object in JSON. Throws `BadAnswer`. */
export function parsed(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new BadAnswer("not JSON", { cause: error });
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) throw new BadAnswer("not an object");
  return found;
}
