// When a call is tried again, and after how long. Times are seconds.

import { NoAnswer, RateLimited, Unavailable } from "./errors.js";

export const RETRIES = Object.freeze({ tries: 8, firstPause: 0.25, longestPause: 8, longestWait: 60 });
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

  /** Seconds until the next try, of a stream that was cut or of something else. Throws `failure` when there is none. */
  after(failure, { wasCut = false } = {}) {
    this.again(failure);
    const asked = failure.retryAfter ?? 0;
    const { firstPause, longestPause, longestWait } = this.#retries;
    if (!isPassing(failure) || asked > longestWait) throw failure;
    const longest = wasCut ? Math.min(longestPause, LONGEST_AFTER_CUT) : longestPause;
    const pause = Math.min(longest, firstPause * 2 ** (this.#failures - 1));
    return Math.max(asked, pause * (1 - this.#random() / 2));
  }
}

/** Whether the same request may succeed later. */
export function isPassing(failure) {
  return failure instanceof NoAnswer || failure instanceof RateLimited || failure instanceof Unavailable;
}
