// How somebody comes in, with the session that the browser has or with the code of a sign-in link, and goes again.

import { confirm } from "./dialog.js";
import { byId } from "./element.js";
import { notify } from "./notice.js";
import { ENDLESS } from "./api.js";
import { Problem } from "./problem.js";
import { AccountStorage, tabs } from "./session.js";
import { t } from "./words.js";

export class Arrival {
  #door;
  #form;

  /** `door`: an Api for what is asked before somebody is signed in. A 401 is an answer there, not the end of a session. */
  constructor(door, form) {
    this.#door = door;
    this.#form = form;
  }

  /** Waits for a server that is still starting: `ask(retries)` makes the call. */
  patiently(ask) {
    const onWait = (failure) => {
      byId("sign-in").hidden = false;
      this.#form.say(t("sign-in.waiting", { problem: Problem.of(failure).sentence }));
    };
    return ask({ ...ENDLESS, onWait });
  }

  /** Whose session the browser has, or null. */
  async present() {
    try {
      return await this.patiently((retries) => this.#door.session({ retries }));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return null;
      throw error;
    }
  }

  /**
   * Sign in with a code. One for another account than that of `known` asks first. Resolves to who is signed in then;
   * `refused` gets the reason when the code is not good and nobody is.
   */
  async useCode(code, known, refused) {
    const expected = known?.account_id;
    try {
      return await this.patiently((retries) => this.#door.signIn({ code, account_id: expected }, { retries }));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.code !== "another-account") {
        if (known) notify(error.detail);
        else refused(error.detail);
        return known;
      }
      const other = error.account;
      const text = t("sign-in.other.text", { expected, other });
      const question = { heading: t("sign-in.other.heading"), text, button: t("sign-in.button") };
      return (await confirm(question, () => this.#door.signIn({ code }))) ?? known;
    }
  }

  /**
   * Signs the account out, in all tabs. Resolves to the page that ends its session at the identity provider, or null;
   * to undefined when it did not work, which was said.
   */
  async signOut(account) {
    let elsewhere = null;
    try {
      elsewhere = await this.#door.signOut();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status !== 401) {
        notify(error.whole);
        return undefined;
      }
    }
    new AccountStorage(account).clear();
    tabs.postMessage({ account: null });
    return elsewhere;
  }
}
