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
  /** By their places in the message, those that are neither text nor reasoning. */
  parts = new Map();
  /** The whole message, when it has ended. */
  message = null;
  isDeleted = false;
  #lengths = { text: 0, reasoning: 0 };

  constructor(messageId, attempt = 0) {
    this.messageId = messageId;
    this.attempt = attempt;
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
    if (!message.content.startsWith(this.text)) deltas.push(...this.restart());
    const fresh = message.content.slice(this.text.length);
    this.text = message.content;
    this.message = message;
    return fresh ? [...deltas, { type: "text", text: fresh, attempt: this.attempt }] : deltas;
  }

  /** Forgets everything, before the reply is read from its start. */
  restart() {
    const had = this.text || this.reasoning || this.parts.size;
    this.text = this.reasoning = "";
    this.#lengths = { text: 0, reasoning: 0 };
    this.parts = new Map();
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
    if (type !== "message.part") return [];
    if (JSON.stringify(this.parts.get(data.index)) === JSON.stringify(data.part)) return [];
    this.parts.set(data.index, data.part);
    return [{ type: "part", text: "", part: data.part, attempt: this.attempt }];
  }

  #grow(what, { offset, text }) {
    const known = this.#lengths[what] - offset;
    if (known < 0) throw new Gap();
    const fresh = known > 0 ? Array.from(text).slice(known).join("") : text;
    if (!fresh) return [];
    this[what] += fresh;
    this.#lengths[what] += characters(fresh);
    return [{ type: what, text: fresh, attempt: this.attempt }];
  }
}
