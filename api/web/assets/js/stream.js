// An event stream that is followed for as long as somebody looks at what it tells.

import { EventParser } from "../client/sse.js";
import { meaning, texts } from "../client/transport.js";
import { Problem } from "./problem.js";

/** The server sends a comment every 15 s; a stream that is silent for three of them is dead. */
const SILENCE_MS = 45_000;
/** A hidden tab gives its connection back after this long (browsers allow six per host) and resumes by cursor. */
const HIDDEN_MS = 60_000;
/** A stream that lived this long was good, also when nothing happened in it. */
const HEALTHY_MS = 10_000;
const BACKOFF_MS = 500;
const BACKOFF_LIMIT_MS = 15_000;
/**
 * The longest pause after a stream that was opened and then cut: the server is there. What came right before the cut is
 * lost to the page, because a body that fails drops what nobody has read yet; so several cuts in a row without an event
 * do not mean that nothing is sent.
 */
const CUT_LIMIT_MS = 2_000;

/** The events of a byte stream until it ends. `onBytes` hears of every piece, heartbeats included. */
export async function* readEvents(body, onBytes = () => {}) {
  const parser = new EventParser();
  try {
    for await (const text of texts(body)) {
      onBytes();
      yield* parser.push(text);
    }
  } catch (error) {
    // Our own abort (silence, a hidden tab) is no problem.
    throw error?.name === "AbortError" ? error : Problem.of(meaning(error));
  }
}

/**
 * Follow an event stream for as long as `signal` allows, through cuts, lifetimes and outages.
 *
 * `recover()` loads the state that the events continue and returns its cursor; it is called first, and again when
 * the log no longer reaches back (410). `onStatus({state, problem})` hears "connecting", "live" or "waiting".
 * Throws the Problem when coming back makes no sense (401, 403, 404).
 */
export async function follow({ api, path, recover, onEvent, onStatus, signal }) {
  let cursor = null;
  let failures = 0;
  while (!signal.aborted) {
    const connection = new Connection(signal);
    let problem = null;
    try {
      await untilVisible(signal);
      onStatus({ state: "connecting", problem: null });
      cursor ??= await recover(signal);
      const body = await api.openEvents(path, cursor, connection.signal);
      connection.opened();
      onStatus({ state: "live", problem: null });
      for await (const event of readEvents(body, () => connection.alive())) {
        if (event.type === "stream.reconnect") {
          connection.ended = true;
          cursor = event.data.cursor ?? cursor;
          break;
        }
        failures = 0;
        onEvent(event);
        if (event.id) cursor = event.id;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error?.name !== "AbortError" && !(error instanceof Problem)) throw error;
      if ([401, 403, 404].includes(error.status)) throw error;
      if (error.status === 410) cursor = null;
      problem = error instanceof Problem ? error : null;
    } finally {
      connection.close();
    }
    if (signal.aborted) return;
    if (connection.lifetime > HEALTHY_MS) failures = 0;
    failures += 1;
    // The first return is quick: most cuts are a stream's lifetime. Status shows only what lasts.
    if (failures > 1) onStatus({ state: "waiting", problem });
    await pause(delayMs(failures, problem, { limit: connection.pauseLimit }), signal);
  }
}

/** One connection's abort signal: the follower's own, silence, or a tab that stays hidden. */
class Connection {
  #controller = new AbortController();
  #silence = 0;
  #hidden = 0;
  #openedAt = null;
  /** Whether the server has said that it ends. */
  ended = false;
  #onVisibility = () => this.#watchHidden();

  constructor(outer) {
    this.signal = AbortSignal.any([outer, this.#controller.signal]);
    document.addEventListener("visibilitychange", this.#onVisibility);
  }

  /** Milliseconds since its stream began; 0 without one. */
  get lifetime() {
    return this.#openedAt === null ? 0 : performance.now() - this.#openedAt;
  }

  /** Milliseconds: the longest pause behind it. */
  get pauseLimit() {
    return this.#openedAt !== null && !this.ended ? CUT_LIMIT_MS : BACKOFF_LIMIT_MS;
  }

  opened() {
    this.#openedAt = performance.now();
    this.alive();
  }

  alive() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#controller.abort(), SILENCE_MS);
  }

  close() {
    clearTimeout(this.#silence);
    clearTimeout(this.#hidden);
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#controller.abort();
  }

  #watchHidden() {
    clearTimeout(this.#hidden);
    if (document.hidden) this.#hidden = setTimeout(() => this.#controller.abort(), HIDDEN_MS);
  }
}

/** Milliseconds before the next try: what the server asked for, else exponential; scattered, for others wait too. */
export function delayMs(failures, problem, { limit = BACKOFF_LIMIT_MS, random = Math.random } = {}) {
  const backoff = Math.min(BACKOFF_MS * 2 ** (failures - 1), limit);
  const asked = (problem?.retryAfter ?? 0) * 1000;
  return Math.max(asked * (1 + random() / 5), backoff * (0.5 + random() / 2));
}

/** Wait, but not longer than until the network is back or the follower stops. */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      window.removeEventListener("online", over);
      signal?.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, milliseconds);
    window.addEventListener("online", over);
    signal?.addEventListener("abort", over);
  });
}

function untilVisible(signal) {
  if (!document.hidden || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const check = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", check);
      signal.removeEventListener("abort", check);
      resolve();
    };
    document.addEventListener("visibilitychange", check);
    signal.addEventListener("abort", check);
  });
}
