// The form that signs somebody in: with a link or token, with an identity provider, or by name alone.

import { byId } from "./element.js";
import { Problem } from "./problem.js";
import { codeIn } from "./session.js";
import { isKnown, t } from "./words.js";

const PLACE = "parlor.place";
/** What went wrong on the way back from an identity provider; it then leaves the address bar. Empty: nothing did. */
export function takeProblem() {
  const code = /^#sign-in-problem=([a-z-]{1,40})$/.exec(location.hash)?.[1];
  if (!code) return "";
  history.replaceState(null, "", location.pathname);
  const key = `sign-in.problem.${code}`;
  return t(isKnown(key) ? key : "sign-in.problem");
}

/** Whether somebody is back in this tab from an identity provider; the address is then the one that was left. */
export function takePlace() {
  const place = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (place === null) return false;
  if (place && !location.hash) history.replaceState(null, "", place);
  return true;
}

export class SignInForm {
  #api;
  #asked = false;

  #onSession;
  #onProblem;

  /**
   * `onSession` gets each new session, `onProblem` the words for an attempt that failed. Without `offers`, a link or a
   * token is the only way.
   */
  constructor(api, { onSession, onProblem, offers = true }) {
    this.#api = api;
    this.#asked = !offers;
    this.#onSession = onSession;
    this.#onProblem = onProblem;
    this.#onSubmit("sign-in-form", "token-field", (given) => {
      const code = codeIn(given);
      return code ? { code } : { token: given };
    });
    if (!offers) return;
    this.#onSubmit("name-form", "name-field", (name) => ({ name }));
    byId("openid-link").addEventListener("click", () => {
      sessionStorage.setItem(PLACE, location.hash);
    });
  }

  show(problem) {
    byId("sign-in").hidden = false;
    this.say(problem);
    byId("token-field").value = "";
    byId("token-field").focus();
    this.#offer();
  }

  hide() {
    byId("sign-in").hidden = true;
  }

  say(text) {
    byId("sign-in-problem").textContent = text;
    byId("sign-in-problem").hidden = !text;
  }

  /** Shows the ways of signing in that there are here. */
  async #offer() {
    if (this.#asked) return;
    this.#asked = true;
    try {
      const { openid, name } = await this.#api.signInMethods();
      byId("openid-link").hidden = !openid;
      if (openid) {
        byId("openid-link").textContent = t("sign-in.openid", { title: openid.title });
        byId("openid-link").href = openid.path;
      }
      byId("name-form").hidden = !name;
    } catch (error) {
      // A link or a token works all the same; the next time it is shown, it asks again.
      if (!(error instanceof Problem)) throw error;
      this.#asked = false;
    }
  }

  #onSubmit(form, field, body) {
    byId(form).addEventListener("submit", async (event) => {
      event.preventDefault();
      const given = byId(field).value.trim();
      if (!given) return;
      try {
        await this.#onSession(await this.#api.signIn(body(given)));
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        this.#onProblem(error.status === 401 ? error.detail : error.whole);
      }
    });
  }
}
