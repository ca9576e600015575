// A reply that is being written.

import { BadAnswer, ReplyDeleted, StreamExpired } from "./errors.js";
import { Fold, Gap } from "./fold.js";

/** How often a reply is read from its start because something was missing. */
const GAPS_MAX = 3;

/**
 * A reply, as far as it was read. Iterating gives what is new, through cuts and new attempts, until the reply has ended;
 * then `text` is exactly what is stored. An iteration that was left may be taken up again.
 */
export class Reply {
  #transport;
  #fold;
  #signal;

  constructor(transport, roomId, messageId, { cursor = null, attempt = 0, asked = null, signal } = {}) {
    this.roomId = roomId;
    this.messageId = messageId;
    this.cursor = cursor;
    /** The message as it was when it was asked for; null for a reply that somebody else asked for. */
    this.asked = asked;
    this.#transport = transport;
    this.#signal = signal;
    this.#fold = new Fold(messageId, attempt);
  }

  get text() {
    return this.#fold.text;
  }

  get reasoning() {
    return this.#fold.reasoning;
  }

  get parts() {
    return this.#fold.parts;
  }

  get attempt() {
    return this.#fold.attempt;
  }

  /** The whole message, when it has ended. */
  get message() {
    return this.#fold.message;
  }

  get #path() {
    return `/v1/rooms/${encodeURIComponent(this.roomId)}/messages/${encodeURIComponent(this.messageId)}`;
  }

  async *[Symbol.asyncIterator]() {
    let gaps = 0;
    while (!this.#fold.hasEnded) {
      try {
        for await (const event of this.#transport.events(`${this.#path}/events`, this.cursor, { signal: this.#signal })) {
          const deltas = this.#fold.apply(event);
          this.cursor = event.id;
          yield* deltas;
          if (this.#fold.hasEnded) break;
        }
      } catch (error) {
        if (error instanceof StreamExpired) {
          // Away for too long. The message is there, or its whole attempt is.
          this.cursor = null;
          const message = await this.#transport.call("GET", this.#path, { signal: this.#signal });
          yield* message.is_streaming ? this.#fold.restart() : this.#fold.end(message);
        } else if (error instanceof Gap) {
          gaps += 1;
          if (gaps > GAPS_MAX) throw new BadAnswer("the events of the reply do not join on to each other");
          this.cursor = null;
          yield* this.#fold.restart();
        } else {
          throw error;
        }
      }
    }
    if (this.#fold.isDeleted) throw new ReplyDeleted("the reply was deleted");
  }

  /** The whole message, when it has ended. */
  async result() {
    for await (const _ of this);
    if (this.message === null) throw new ReplyDeleted("the reply was deleted");
    return this.message;
  }

  /** Ends the reply; its text stays. */
  stop() {
    const body = this.attempt ? { attempt: this.attempt } : {};
    return this.#transport.call("POST", `${this.#path}/stop`, { body, repeatable: this.attempt > 0 });
  }
}
