// A list that comes page by page, with a button for the next one.

import { notify } from "../notice.js";
import { Problem } from "../problem.js";

export class Pages {
  #more;
  #load;
  #signal;
  #cursor = null;

  /** `load(cursor)` shows a page and resolves to the next cursor, or null; `more` is the button. */
  constructor(more, load, signal) {
    this.#more = more;
    this.#load = load;
    this.#signal = signal;
    more.addEventListener("click", () => this.next(), { signal });
  }

  first() {
    this.#cursor = null;
    return this.next();
  }

  /** What does not work is said, and tried again when somebody asks for it. */
  async next() {
    this.#more.disabled = true;
    await expected(this.#signal, async () => {
      this.#cursor = await this.#load(this.#cursor);
      this.#more.hidden = this.#cursor === null;
    }, () => this.next());
    this.#more.disabled = false;
  }
}

/** Does something; its Problem is shown, unless nobody asks any more. Resolves to whether it worked. */
export async function expected(signal, work, retry = null) {
  try {
    await work();
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    if (!(error instanceof Problem)) throw error;
    notify(error.whole, { retry, signal });
    return false;
  }
}
