// A room's messages as this page knows them: pages of history and events folded into one order. No DOM.

/** States in which nobody sees a message any more. */
const GONE = new Set(["DELETING", "DELETED"]);

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

/**
 * Messages by seq. Each is the API's Message plus `open` (more text may come), `error` and `restarted`.
 *
 * `onChange(message)` hears of every message that changed. `onGap(message)` is called once when a delta does not
 * join on to the text that is here: somebody has to fetch the reply from its start.
 */
export class Transcript {
  #byId = new Map();
  #order = [];
  #gaps = new Set();
  /** What events said of messages that a page under way may bring in an older form. */
  #ahead = new Map();
  #onChange;
  #onGap;

  constructor({ onChange = () => {}, onGap = () => {} } = {}) {
    this.#onChange = onChange;
    this.#onGap = onGap;
  }

  /** Ascending seq, without tombstones. */
  get messages() {
    return this.#order.filter((message) => !GONE.has(message.state));
  }

  get(messageId) {
    return this.#byId.get(messageId);
  }

  /** Whether any message that is complete still waits for its commit. */
  get unpersisted() {
    return this.messages.some((message) => !message.open && message.durability !== "persisted");
  }

  /** Forget all, then take a page. */
  replace(page) {
    this.#byId.clear();
    this.#order = [];
    this.#gaps.clear();
    this.#ahead.clear();
    this.addPage(page);
  }

  /** Take a page of history. Messages that are here already are newer than the page and stay. */
  addPage(page) {
    for (const message of page.messages) {
      const ahead = this.#ahead.get(message.message_id);
      this.add(ahead ? { ...message, ...ahead } : message);
    }
    this.markPersisted(page.persisted_seq);
  }

  /** Take a message unless it is known. */
  add(message) {
    if (this.#byId.has(message.message_id)) return;
    const kept = { ...message };
    kept.open = message.state === "COMPOSING" || message.is_streaming === true;
    kept.length = characters(kept.content);
    this.#byId.set(kept.message_id, kept);
    let place = this.#order.length;
    while (place > 0 && this.#order[place - 1].seq > kept.seq) place -= 1;
    this.#order.splice(place, 0, kept);
    this.#onChange(kept);
  }

  /** Everything up to this seq is committed in the database. */
  markPersisted(seq) {
    for (const message of this.#order) {
      if (message.seq > seq || message.durability === "persisted" || message.open) continue;
      message.durability = "persisted";
      if (message.state === "PENDING" || message.state === "PROCESSING") message.state = "SENT";
      this.#onChange(message);
    }
  }

  /** Fold one event in; harmless when it is repeated. Types that are not about messages are ignored. */
  apply({ type, data }) {
    switch (type) {
      case "message.created":
        return this.add(data.message);
      case "message.delta":
        return this.#delta(data);
      case "message.reset":
        return this.#reset(data);
      case "message.completed":
      case "message.stopped":
        return this.#finish(data.message, null);
      case "message.failed":
        return this.#finish(data.message, data.error ?? null);
      case "message.updated":
        return this.#update(data.message);
      case "message.deleted":
        return this.#delete(data);
      default:
        return undefined;
    }
  }

  #delta({ message_id: id, attempt, offset, text }) {
    const message = this.#byId.get(id);
    if (!message || attempt < message.attempt) return;
    if (attempt > message.attempt) this.#restart(message, attempt);
    if (!message.open) return;
    if (offset > message.length) {
      if (this.#gaps.has(id)) return;
      this.#gaps.add(id);
      this.#onGap(message);
      return;
    }
    const known = message.length - offset;
    const fresh = known > 0 ? Array.from(text).slice(known).join("") : text;
    if (!fresh) return;
    message.content += fresh;
    message.length += characters(fresh);
    this.#onChange(message);
  }

  #reset({ message_id: id, attempt }) {
    const message = this.#byId.get(id);
    if (!message || attempt <= message.attempt) return;
    this.#restart(message, attempt);
    this.#onChange(message);
  }

  #restart(message, attempt) {
    message.restarted = message.attempt > 0;
    message.attempt = attempt;
    message.content = "";
    message.length = 0;
    message.open = true;
    message.finish_reason = null;
    message.error = null;
    this.#gaps.delete(message.message_id);
  }

  #finish(final, error) {
    const message = this.#byId.get(final.message_id);
    if (!message) return this.#remember(final.message_id, final);
    if (final.attempt < message.attempt) return undefined;
    Object.assign(message, final, { open: false, length: characters(final.content), restarted: false });
    if (error) message.error = error;
    this.#gaps.delete(message.message_id);
    return this.#onChange(message);
  }

  #update(changed) {
    const message = this.#byId.get(changed.message_id);
    if (!message) return this.#remember(changed.message_id, changed);
    if (changed.attempt < message.attempt) return undefined;
    const { content, length } = message;
    Object.assign(message, changed);
    message.length = characters(message.content);
    if (message.open && message.length < length) Object.assign(message, { content, length });
    return this.#onChange(message);
  }

  #delete({ message_id: id, state }) {
    const message = this.#byId.get(id);
    if (!message) return this.#remember(id, { state: state ?? "DELETING" });
    Object.assign(message, { state: state ?? "DELETING", content: "", length: 0, open: false });
    return this.#onChange(message);
  }

  #remember(id, known) {
    this.#ahead.set(id, { ...this.#ahead.get(id), ...known });
  }
}

export function isGone(message) {
  return GONE.has(message.state);
}
