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
 * Messages by seq. Each is the API's Message plus `open` (more text may come), `restarted`, and what `#settle` says:
 * `waits` and `revisable`.
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

  /** The reply that is being written, or is about to be; undefined when there is none. Replies are written in order. */
  get running() {
    return this.messages.find((message) => message.open);
  }

  /** The messages that are complete and still wait for their commit. */
  get unpersisted() {
    return this.messages.filter((message) => !message.open && message.durability !== "persisted");
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
      this.#add(ahead ? { ...message, ...ahead } : message);
    }
    this.markPersisted(page.persisted_seq);
    this.#settle();
  }

  /** Take a message unless it is known. */
  #add(message) {
    if (this.#byId.has(message.message_id)) return;
    const kept = { ...message, waits: false, revisable: false };
    kept.open = isOpen(message);
    kept.length = characters(kept.content);
    kept.parts = partsOf(message);
    this.#byId.set(kept.message_id, kept);
    let place = this.#order.length;
    while (place > 0 && this.#order[place - 1].seq > kept.seq) place -= 1;
    this.#order.splice(place, 0, kept);
    this.#onChange(kept);
  }

  /** Everything up to this seq is committed in the database; of what was revised perhaps only its first form. */
  markPersisted(seq) {
    for (const message of this.#order) {
      if (message.seq > seq || message.durability === "persisted" || message.open || isRevised(message)) continue;
      message.durability = "persisted";
      if (message.state === "PENDING" || message.state === "PROCESSING") message.state = "SENT";
      this.#onChange(message);
    }
  }

  /** Fold one event in; harmless when it is repeated. Types that are not about messages are ignored. */
  apply(event) {
    if (event.type === "message.delta") {
      this.#grow(event.data, "text");
    } else if (event.type === "message.reasoning") {
      this.#grow(event.data, "reasoning");
    } else if (event.type === "message.part") {
      this.#part(event.data);
    } else {
      this.#fold(event);
      this.#settle();
    }
  }

  /** Take a message as an answer tells it, which an event may have overtaken. */
  take(message) {
    if (isGone(message)) return this.apply({ type: "message.deleted", data: message });
    const ended = message.sender_type === "AI" && !isOpen(message);
    return this.apply({ type: ended ? "message.completed" : "message.updated", data: { message } });
  }

  #fold({ type, data }) {
    switch (type) {
      case "message.created":
        return this.#add(data.message);
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

  /** The open message whose attempt this is; undefined for any other. */
  #written({ message_id: id, attempt }) {
    const message = this.#byId.get(id);
    if (!message || attempt < message.attempt) return undefined;
    if (attempt > message.attempt) {
      this.#restart(message, attempt);
      this.#settle();
    }
    return message.open ? message : undefined;
  }

  /** A piece of a part of this type, which begins behind what there is of its type. */
  #grow(data, type) {
    const message = this.#written(data);
    if (!message) return;
    const { offset, text, index = 0 } = data;
    const length = type === "text" ? message.length : thoughtLength(message);
    if (offset > length) return this.#gap(message);
    const known = length - offset;
    const fresh = known > 0 ? Array.from(text).slice(known).join("") : text;
    if (!fresh) return;
    const part = message.parts[index] ?? { type, text: "" };
    message.parts[index] = { ...part, text: part.text + fresh };
    if (type === "text") {
      message.content += fresh;
      message.length += characters(fresh);
    }
    this.#onChange(message);
  }

  #gap(message) {
    if (this.#gaps.has(message.message_id)) return;
    this.#gaps.add(message.message_id);
    this.#onGap(message);
  }

  /** A part that is not text, whole. */
  #part(data) {
    const message = this.#written(data);
    if (!message) return;
    message.parts[data.index] = data.part;
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
    message.parts = [];
    message.open = true;
    message.finish_reason = null;
    message.error = null;
    this.#gaps.delete(message.message_id);
  }

  #finish(final, error) {
    const message = this.#byId.get(final.message_id);
    if (!message) return this.#remember(final.message_id, final);
    if (isOlder(final, message)) return undefined;
    Object.assign(message, final, { open: false, length: characters(final.content), restarted: false });
    message.parts = partsOf(final);
    if (error) message.error = error;
    this.#gaps.delete(message.message_id);
    return this.#onChange(message);
  }

  /** An edit, a reply that begins anew, or an answer that tells a message as it was when it was given. */
  #update(changed) {
    const message = this.#byId.get(changed.message_id);
    if (!message) return this.#remember(changed.message_id, changed);
    if (isOlder(changed, message)) return undefined;
    const anew = changed.attempt > message.attempt;
    const { content, length, parts } = message;
    Object.assign(message, changed, { open: isOpen(changed), length: characters(changed.content) });
    message.parts = partsOf(changed);
    if (anew) {
      message.restarted = false;
      this.#gaps.delete(message.message_id);
    } else if (message.open && message.length < length) {
      Object.assign(message, { content, length, parts });
    }
    return this.#onChange(message);
  }

  #delete({ message_id: id, state }) {
    const message = this.#byId.get(id);
    if (!message) return this.#remember(id, { state: state ?? "DELETING" });
    Object.assign(message, { state: state ?? "DELETING", content: "", length: 0, parts: [], open: false });
    return this.#onChange(message);
  }

  #remember(id, known) {
    this.#ahead.set(id, { ...this.#ahead.get(id), ...known });
  }

  /**
   * What the order of messages tells of each: `waits`, for a reply that is not begun because another is being written,
   * and for the messages of a person that it will answer; `revisable`, for what can be edited or regenerated.
   */
  #settle() {
    const shown = this.messages;
    const { running } = this;
    const last = shown.at(-1);
    let pending = false;
    for (const message of shown.toReversed()) {
      const mine = message.sender_type === "USER";
      if (!mine) pending = message.open && message !== running;
      const isLast = message === last || (mine && last.parent_message_id === message.message_id);
      const revisable = mine ? pending || isLast : isLast && message.sender_type === "AI" && !message.open;
      if (message.waits === pending && message.revisable === revisable) continue;
      Object.assign(message, { waits: pending, revisable });
      this.#onChange(message);
    }
  }
}

/** A message's parts, which its holder may change. */
function partsOf({ parts, content }) {
  if (parts) return [...parts];
  return content ? [{ type: "text", text: content }] : [];
}

function thoughtLength(message) {
  const thoughts = message.parts.filter((part) => part?.type === "reasoning");
  return thoughts.reduce((sum, part) => sum + characters(part.text), 0);
}

function isOpen(message) {
  return message.state === "COMPOSING" || message.is_streaming === true;
}

/** Whether it may have said something else before: an attempt, or a text that was edited. */
export function isRevised(message) {
  return message.attempt > 1 || "edited_at" in (message.metadata ?? {});
}

/** Whether `told` is the message as it was before what is known of it: answers and events overtake each other. */
function isOlder(told, known) {
  if (told.attempt !== known.attempt) return told.attempt < known.attempt;
  if (told.sender_type === "AI") return isOpen(told) && !known.open;
  // Times of one form, in UTC: the order of their letters is that of time.
  return (told.metadata?.edited_at ?? "") < (known.metadata?.edited_at ?? "");
}

export function isGone(message) {
  return GONE.has(message.state);
}
