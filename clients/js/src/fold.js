// A reply put together from its events: what it says so far is exactly what the server has.

const ENDS = new Set(["message.completed", "message.stopped", "message.failed"]);

/** An event does not join on to those before it: the reply has to be read from its start. */
export class Gap extends Error {}

/** Characters as the server counts them: code points, not UTF-16 units. */
export function characters(text) {
  let count = text.length;
  for (let index = 0; index < text.length - 1; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      count -= 1;
      index += 1;
    }
  }
  return count;
}

/** One reply. It takes events in order; those that it has had, and those of earlier attempts, change nothing. */
export class Fold {
  text = "";
  reasoning = "";
  /** By their places in the message, those that came whole. */
  parts = new Map();
  /** All parts in their order, texts too. */
  shown = [];
  /** The whole message, when it has ended. */
  message = null;
  isDeleted = false;
  #lengths = { text: 0, reasoning: 0 };

  constructor(messageId, attempt = 0) {
    this.messageId = messageId;
    this.attempt = attempt;
  }

  /** From a message as an answer tells it; the events behind that answer go on. */
  static from({ message_id: messageId, attempt, content, parts }) {
    const fold = new Fold(messageId, attempt);
    fold.text = content;
    fold.shown = parts ? [...parts] : content ? [{ type: "text", text: content }] : [];
    for (const [index, part] of fold.shown.entries()) if (part.type !== "text") fold.parts.set(index, part);
    fold.#lengths.text = characters(content);
    fold.#thought();
    return fold;
  }

  get hasEnded() {
    return this.message !== null || this.isDeleted;
  }

  /** Takes one event in; returns what it changes. Throws `Gap`. */
  apply({ type, data }) {
    if (this.hasEnded) return [];
    if (ENDS.has(type)) return this.end(data.message);
    const isMine = data.message_id === this.messageId;
    if (type === "room.deleted" || (type === "message.deleted" && isMine)) {
      this.isDeleted = true;
      return [];
    }
    if (!isMine || !Number.isInteger(data.attempt) || data.attempt < this.attempt) return [];
    return [...this.#begin(data.attempt), ...this.#take(type, data)];
  }

  /** Takes the whole message in, which says how it ended. */
  end(message) {
    if (message?.message_id !== this.messageId || message.attempt < this.attempt) return [];
    const deltas = this.#begin(message.attempt);
    const parts = message.parts ?? [];
    const thoughts = parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
    const goesOn = message.content.startsWith(this.text) && thoughts.startsWith(this.reasoning);
    if (!goesOn) deltas.push(...this.restart());
    for (const [type, whole] of [["reasoning", thoughts], ["text", message.content]]) {
      const fresh = whole.slice(this[type].length);
      if (fresh) deltas.push({ type, text: fresh, attempt: this.attempt });
      this[type] = whole;
    }
    // What became of calls as the reply ended, and what a log that was cut did not tell.
    for (const [index, part] of parts.entries()) {
      if (part.type === "text" || part.type === "reasoning" || this.#has(index, part)) continue;
      this.parts.set(index, part);
      deltas.push({ type: "part", text: "", part, attempt: this.attempt });
    }
    if (parts.length) this.shown = [...parts];
    this.message = message;
    return deltas;
  }

  /** Forgets everything, before the reply is read from its start. */
  restart() {
    const had = this.text || this.reasoning || this.parts.size;
    this.text = this.reasoning = "";
    this.#lengths = { text: 0, reasoning: 0 };
    this.parts = new Map();
    this.shown = [];
    return had ? [{ type: "reset", text: "", attempt: this.attempt }] : [];
  }

  #begin(attempt) {
    if (attempt <= this.attempt) return [];
    this.attempt = attempt;
    return this.restart();
  }

  #take(type, data) {
    if (type === "message.delta") return this.#grow("text", data);
    if (type === "message.reasoning") return this.#grow("reasoning", data);
    return type === "message.part" ? this.#put(data) : [];
  }

  #grow(type, { offset, text, index = 0 }) {
    const known = this.#lengths[type] - offset;
    if (known < 0) throw new Gap();
    const fresh = known > 0 ? Array.from(text).slice(known).join("") : text;
    if (!fresh) return [];
    const part = this.shown[index] ?? { type, text: "" };
    this.shown[index] = { ...part, text: part.text + fresh };
    this[type] += fresh;
    this.#lengths[type] += characters(fresh);
    return [{ type, text: fresh, attempt: this.attempt }];
  }

  /** A whole part. Reasoning may come whole without its pieces: what an earlier attempt thought, and this one goes on from. */
  #put({ index, part }) {
    if (this.#has(index, part)) return [];
    this.parts.set(index, part);
    this.shown[index] = part;
    const before = this.reasoning;
    if (part.type === "reasoning") this.#thought();
    const fresh = this.reasoning.startsWith(before) ? this.reasoning.slice(before.length) : "";
    const deltas = fresh ? [{ type: "reasoning", text: fresh, attempt: this.attempt }] : [];
    return [...deltas, { type: "part", text: "", part, attempt: this.attempt }];
  }

  #has(index, part) {
    return JSON.stringify(this.parts.get(index)) === JSON.stringify(part);
  }

  #thought() {
    const thoughts = this.shown.filter((part) => part?.type === "reasoning");
    this.reasoning = thoughts.map((part) => part.text).join("");
    this.#lengths.reasoning = characters(this.reasoning);
  }
}
