// The client, as the page uses it: the browser's session, and failures as a person is told them.

import { Client } from "../client/client.js";
import { Refused } from "../client/errors.js";
import { Problem } from "./problem.js";
import { pause } from "./waiting.js";

const BASE = new URL(".", document.baseURI).href;
const LONGEST_PAUSE_S = 15;
const OPTIONS = {
  timeout: 30,
  socket: true,
  sleep: (seconds, signal) => pause(seconds * 1000, signal),
  retries: {
    /** Once, unless a call says otherwise: a person sees what did not work, and when it is tried again. */
    tries: 1,
    firstPause: 0.5,
    longestPause: LONGEST_PAUSE_S,
    /** Whoever stands between may be at fault, and be mended. */
    isPassing: (failure) => !(failure instanceof Refused) || failure.status === 429 || failure.status >= 500,
  },
};

/** Until it works. */
export const ENDLESS = { tries: Infinity, longestWait: Infinity };

/** Every failure is a Problem; an abort by the caller stays an AbortError. */
export class Api extends Client {
  #onUnauthenticated;

  /** The browser adds the session's cookie to each request. `onUnauthenticated` learns of each 401. */
  constructor(onUnauthenticated = () => {}) {
    super(BASE, undefined, OPTIONS);
    this.#onUnauthenticated = onUnauthenticated;
  }

  /** Who is signed in; 401 when nobody is. */
  session(options) {
    return this.call("GET", "/v1/session", options);
  }

  /** How people sign in here: `{ code, openid: { title, path } | null, name }`. */
  signInMethods() {
    return this.call("GET", "/v1/session/methods");
  }

  /** With `{ code, account_id }`, `{ token }` or `{ name }`; from then on the browser has a session. */
  signIn(given, options) {
    return this.call("POST", "/v1/session", { ...options, body: given });
  }

  /** Resolves to where the browser signs out of the identity provider that it signed in with, or null. */
  signOut() {
    return this.call("DELETE", "/v1/session", { read: async (response) => response.headers.get("Location") });
  }

  async call(...given) {
    try {
      return await super.call(...given);
    } catch (error) {
      throw this.#problem(error);
    }
  }

  async *events(...given) {
    try {
      yield* super.events(...given);
    } catch (error) {
      throw this.#problem(error);
    }
  }

  #problem(error) {
    const problem = Problem.of(error);
    if (problem.status === 401) this.#onUnauthenticated(problem);
    return problem;
  }
}
