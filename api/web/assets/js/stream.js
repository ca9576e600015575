// An event stream that is followed for as long as somebody looks at what it tells.

import { ENDLESS } from "./api.js";
import { Problem } from "./problem.js";
import { untilVisible } from "./waiting.js";

/** A hidden tab gives its connection back after this long (browsers allow six per host) and resumes by cursor. */
const HIDDEN_MS = 60_000;
/** Coming back makes no sense. */
const FINAL = new Set([401, 403, 404]);

/**
 * Follow an event stream for as long as `signal` allows, through cuts, lifetimes and outages.
 *
 * `events(options)` are the client's. `recover()` loads the state that the events continue and resolves to its cursor; it
 * is called first, and again when the log no longer reaches back. `onStatus({state, problem})` hears "connecting", "live"
 * or "waiting". Throws the Problem when coming back makes no sense.
 */
export async function follow({ events, recover, onEvent, onStatus, signal }) {
  let cursor = null;
  const onWait = (failure, { failures }) => {
    // The first return is quick: most cuts are a stream's lifetime. Status shows only what lasts.
    if (failures > 1) onStatus({ state: "waiting", problem: Problem.of(failure) });
  };
  const retries = { ...ENDLESS, isPassing: ({ status }) => !FINAL.has(status), onWait };
  const onConnect = () => onStatus({ state: "connecting", problem: null });
  const onOpen = () => onStatus({ state: "live", problem: null });
  while (!signal.aborted) {
    await untilVisible(signal);
    const shown = new Shown(signal);
    let known = cursor;
    const after = async () => {
      const from = known ?? (await recover());
      known = null;
      return from;
    };
    try {
      for await (const event of events({ after, signal: shown.signal, retries, onConnect, onOpen })) {
        onEvent(event);
        cursor = event.id;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!shown.signal.aborted) throw error;
    } finally {
      shown.close();
    }
  }
}

/** Its signal aborts with the follower's own, and when the tab stays hidden. */
class Shown {
  #controller = new AbortController();
  #hidden = 0;
  #onVisibility = () => this.#watch();

  constructor(outer) {
    this.signal = AbortSignal.any([outer, this.#controller.signal]);
    document.addEventListener("visibilitychange", this.#onVisibility);
  }

  close() {
    clearTimeout(this.#hidden);
    document.removeEventListener("visibilitychange", this.#onVisibility);
  }

  #watch() {
    clearTimeout(this.#hidden);
    if (document.hidden) this.#hidden = setTimeout(() => this.#controller.abort(), HIDDEN_MS);
  }
}
