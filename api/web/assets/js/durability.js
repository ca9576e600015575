// How far a room is committed. Nothing is sent when a message reaches the database, so the page asks, for as long as
// something is on its way.

import { Problem } from "./problem.js";
import { isRevised } from "./transcript.js";
import { pause } from "./waiting.js";

/** The writers commit within about 3 s; after that the page asks less and less often. */
const FIRST_MS = 3_500;
const LIMIT_MS = 30_000;

export class DurabilityWatch {
  #api;
  #roomId;
  #transcript;
  #signal;
  #watching = false;

  constructor(api, roomId, transcript, signal) {
    this.#api = api;
    this.#roomId = roomId;
    this.#transcript = transcript;
    this.#signal = signal;
  }

  /** Resolves when everything is committed; harmless while it runs already. */
  async watch() {
    if (this.#watching || this.#transcript.unpersisted.length === 0) return;
    this.#watching = true;
    let wait = FIRST_MS;
    while (this.#transcript.unpersisted.length > 0 && !this.#signal.aborted) {
      await pause(wait, this.#signal);
      wait = Math.min(wait * 2, LIMIT_MS);
      if (this.#signal.aborted || document.hidden) continue;
      try {
        await this.#ask();
      } catch (error) {
        // The next try will tell; the connection's own status shows that the server is away.
        if (!(error instanceof Problem) || !error.retryable) throw error;
      }
    }
    this.#watching = false;
  }

  async #ask() {
    const waiting = this.#transcript.unpersisted;
    if (waiting.some((message) => !isRevised(message))) {
      const { persisted_seq: seq } = await this.#api.getRoom(this.#roomId, { signal: this.#signal });
      this.#transcript.markPersisted(seq);
    }
    // The room's position is that of first forms: what was revised is asked for by itself.
    for (const message of waiting.filter(isRevised)) {
      this.#transcript.take(await this.#api.getMessage(this.#roomId, message.message_id, { signal: this.#signal }));
    }
  }
}
