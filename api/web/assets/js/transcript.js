// A room's messages as this page knows them: pages of history and events folded into one order. No DOM.

import { Fold, Gap } from "../client/fold.js";

/** Events that add to a reply. */
const PIECES = new Set(["message.delta", "message.reasoning", "message.part"]);
/** States in which nobody sees a message any more. */
const GONE = new Set(["DELETING", "DELETED"]);

/**
 * Messages by seq. Each is the API's Message plus `open` (more may come), its `fold` then, `restarted`, and what `#settle`
 * says: `waits` and `revisable`.
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
    unfold(kept, message);
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
    if (PIECES.has(event.type)) {
      this.#grow(event);
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

  /** Take a call of a tool as the answer to a decision tells it; what events said meanwhile is newer. */
  takeCall(messageId, call) {
    const message = this.#byId.get(messageId);
    const at = message?.parts.findIndex((part) => part?.tool_call_id === call.tool_call_id) ?? -1;
    if (at < 0 || message.parts[at].state !== "waiting") return;
    message.parts[at] = call;
    this.#onChange(message);
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

  /** A piece of a reply, or a part of it that is whole. */
  #grow(event) {
    const { message_id: id, attempt } = event.data;
    const message = this.#byId.get(id);
    if (!message || attempt < message.attempt) return;
    if (attempt > message.attempt) {
      this.#restart(message, attempt);
      this.#settle();
    }
    if (!message.open) {
      this.#takeLate(message, event);
      return;
    }
    try {
      if (message.fold.apply(event).length === 0) return;
    } catch (error) {
      if (!(error instanceof Gap)) throw error;
      this.#gap(message);
      return;
    }
    message.content = message.fold.text;
    message.parts = message.fold.shown;
    this.#onChange(message);
  }

  /** What came of a call of a tool is known after the reply has ended without it. */
  #takeLate(message, { type, data: { index, part } }) {
    if (type !== "message.part" || message.parts[index]?.state !== "unknown") return;
    if (message.parts[index].tool_call_id !== part.tool_call_id) return;
    message.parts = message.parts.with(index, part);
    this.#onChange(message);
  }

  #gap(message) {
    if (this.#gaps.has(message.message_id)) return;
    this.#gaps.add(message.message_id);
    this.#onGap(message);
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
    unfold(message, { message_id: message.message_id, attempt, content: "", parts: [], is_streaming: true });
    message.finish_reason = null;
    message.error = null;
    this.#gaps.delete(message.message_id);
  }

  #finish(final, error) {
    const message = this.#byId.get(final.message_id);
    if (!message) return this.#remember(final.message_id, final);
    if (isOlder(final, message)) return undefined;
    Object.assign(message, final, { restarted: false });
    unfold(message, final);
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
    const { content, fold, parts } = message;
    Object.assign(message, changed);
    unfold(message, changed);
    if (anew) {
      message.restarted = false;
      this.#gaps.delete(message.message_id);
    } else if (message.open && message.content.length < content.length) {
      Object.assign(message, { content, fold, parts });
    }
    return this.#onChange(message);
  }

  #delete({ message_id: id, state }) {
    const message = this.#byId.get(id);
    if (!message) return this.#remember(id, { state: state ?? "DELETING" });
    Object.assign(message, { state: state ?? "DELETING", content: "", parts: [], open: false, fold: null });
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

/** Give the message the parts that an answer or an event tells, and what the events behind that are folded into. */
function unfold(message, told) {
  const fold = Fold.from(told);
  message.parts = fold.shown;
  message.open = isOpen(told);
  message.fold = message.open ? fold : null;
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
