// Messages of one room on their way to the server. A message keeps its idempotency key until it is acknowledged,
// so trying again, also after a reload, cannot store it twice.

import { Problem } from "./problem.js";
import { delayMs, pause } from "./stream.js";

const TRIES = 5;
/** A longer Retry-After is the person's decision, not ours. */
const PATIENCE_S = 20;

export class Outbox {
  #api;
  #roomId;
  #storage;
  #kept;
  #chain = Promise.resolve();
  #pause;
  /** `{key, content, onBusy, files, state: "sending" | "failed", problem}`, oldest first. */
  entries = [];
  /** Set by whoever shows the room now. */
  onChange = () => {};
  onSent = () => {};

  constructor(api, roomId, storage, wait = pause) {
    this.#api = api;
    this.#roomId = roomId;
    this.#pause = wait;
    this.#storage = storage;
    this.#kept = `outbox/${roomId}`;
    const kept = JSON.parse(storage.get(this.#kept) ?? "[]");
    this.entries = kept.map((entry) => ({ ...entry, state: "failed", problem: null }));
  }

  /**
   * Resolves when the message is acknowledged or has failed; messages leave in the order of the calls. `onBusy` is the
   * API's `on_busy`, `files` are parts; they stay with the message, because a key stands for one body.
   */
  send(content, onBusy, files = []) {
    const entry = { key: newKey(), content, onBusy, files, state: "sending", problem: null };
    this.entries.push(entry);
    return this.#queue(entry);
  }

  retry(key) {
    const entry = this.entries.find((found) => found.key === key);
    return entry ? this.#queue(entry) : Promise.resolve();
  }

  /**
   * The server is there again: send what found nobody, in its order. A key stands for one message, so twice is harmless.
   * When the server itself said how long to wait, that is the person's decision.
   */
  resume() {
    const found = this.entries.filter(({ state, problem }) => state === "failed" && foundNobody(problem));
    return Promise.all(found.map((entry) => this.#queue(entry)));
  }

  /** Forget a message: the person gave it up, or it was seen in the room (its answer was lost, not it). */
  remove(key) {
    const left = this.entries.filter((entry) => entry.key !== key);
    if (left.length === this.entries.length) return;
    this.entries = left;
    this.#changed();
  }

  #queue(entry) {
    entry.state = "sending";
    entry.problem = null;
    this.#changed();
    this.#chain = this.#chain.then(() => this.#deliver(entry));
    return this.#chain;
  }

  async #deliver(entry) {
    for (let tries = 1; this.entries.includes(entry); tries += 1) {
      try {
        const receipt = await this.#api.sendMessage(this.#roomId, {
          key: entry.key,
          content: entry.content,
          metadata: { client_key: entry.key },
          onBusy: entry.onBusy,
          files: entry.files,
        });
        this.onSent(receipt);
        this.remove(entry.key);
        return;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (!error.retryable || tries >= TRIES || error.retryAfter > PATIENCE_S) {
          entry.state = "failed";
          entry.problem = error;
          this.#changed();
          return;
        }
        await this.#pause(delayMs(tries, error));
      }
    }
  }

  #changed() {
    const kept = this.entries.map(({ key, content, onBusy, files }) => ({ key, content, onBusy, files }));
    if (kept.length) this.#storage.set(this.#kept, JSON.stringify(kept));
    else this.#storage.remove(this.#kept);
    this.onChange();
  }
}

/** Whether nothing was decided; without a problem, the page was closed before the answer came. */
function foundNobody(problem) {
  return problem === null || (problem.retryable && problem.retryAfter === null);
}

// crypto.randomUUID exists on https and localhost only; this page also runs in a plain home network.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
