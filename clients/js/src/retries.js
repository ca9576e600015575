// When a call is tried again, and after how long. Times are seconds.

import { NoAnswer, RateLimited, Unavailable } from "./errors.js";

export const RETRIES = Object.freeze({
  tries: 8,
  firstPause: 0.25,
  longestPause: 8,
  /** A longer `Retry-After` is the caller's to decide. */
  longestWait: 60,
  /** Whether the same request may succeed later. */
  isPassing: (failure) => failure instanceof NoAnswer || failure instanceof RateLimited || failure instanceof Unavailable,
  /** Hears of each failure behind which the same is tried again; `failures` counts those in a row. */
  onWait: (failure, { failures }) => {},
});
/**
 * The longest pause after a stream that was opened and then cut: the server is there. What came right before the cut may
 * be lost (a body that fails drops what nobody has read yet), so several such cuts in a row do not mean that nothing is sent.
 */
const LONGEST_AFTER_CUT = 2;

/** Counts the tries of one thing. */
export class Pauses {
  #retries;
  #random;
  #failures = 0;

  constructor(retries, random) {
    this.#retries = retries;
    this.#random = random;
  }

  /** Begins to count anew: something came. */
  progress() {
    this.#failures = 0;
  }

  /** Counts a try that is made again at once. Throws `failure` when there were enough. */
  again(failure) {
    this.#failures += 1;
    if (this.#failures >= this.#retries.tries) throw failure;
  }

  /**
   * Seconds until the next try, of a stream that was cut or of something else. Throws `failure` when there is none.
   * `isPassing`: where it is known already.
   */
  after(failure, { wasCut = false, isPassing } = {}) {
    this.again(failure);
    const asked = failure.retryAfter ?? 0;
    const { firstPause, longestPause, longestWait, onWait } = this.#retries;
    if (!(isPassing ?? this.#retries.isPassing(failure)) || asked > longestWait) throw failure;
    const longest = wasCut ? Math.min(longestPause, LONGEST_AFTER_CUT) : longestPause;
    const pause = Math.min(longest, firstPause * 2 ** (this.#failures - 1));
    onWait(failure, { failures: this.#failures });
    // Scattered, for others wait too.
    return Math.max(asked * (1 + this.#random() / 5), pause * (1 - this.#random() / 2));
  }
}
