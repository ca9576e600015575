// Messages of one room on their way to the server. A message keeps its idempotency key until it is acknowledged,
// so trying again, also after a reload, cannot store it twice.

import { newKey } from "../client/client.js";
import { Problem } from "./problem.js";

/** A longer Retry-After is the person's decision, not ours. */
const PATIENT = { tries: 5, longestWait: 20 };

export class Outbox {
  #api;
  #roomId;
  #storage;
  #kept;
  #chain = Promise.resolve();
  /** By their keys, what ends the wait of messages that are to be tried again. */
  #waiting = new Map();
  /** `{key, content, onBusy, files, state: "sending" | "failed", problem}`, oldest first. */
  entries = [];
  /** Set by whoever shows the room now. */
  onChange = () => {};
  onSent = () => {};

  constructor(api, roomId, storage) {
    this.#api = api;
    this.#roomId = roomId;
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
    this.#waiting.get(key)?.abort();
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
    if (!this.entries.includes(entry)) return;
    const { key, content, onBusy, files } = entry;
    const leaving = new AbortController();
    try {
      const receipt = await this.#api.send(this.#roomId, content.trim() || !files.length ? content : null, {
        idempotencyKey: key,
        metadata: { client_key: key },
        on_busy: onBusy,
        files,
        retries: { ...PATIENT, onWait: () => this.#waiting.set(key, leaving) },
        signal: leaving.signal,
      });
      this.onSent(receipt);
      this.remove(key);
    } catch (error) {
      if (leaving.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      entry.state = "failed";
      entry.problem = error;
      this.#changed();
    } finally {
      this.#waiting.delete(key);
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
