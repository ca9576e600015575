// Who is signed in, as far as a script may know it: the session is a cookie that only the server reads. All tabs share
// it; what a tab keeps for itself is kept for each account.

/** Tells the other tabs of this browser: `{ account }`, null when signed out. */
export const tabs = new BroadcastChannel("parlor.session");

/** The code of `#code=...`, which then leaves the address bar; null without one. */
export function takeCode() {
  const code = codeIn(location.hash);
  if (code) history.replaceState(null, "", location.pathname + location.search);
  return code;
}

/** The code in a sign-in link or its fragment, or one alone; null when there is none. */
export function codeIn(text) {
  return /(?:#code=|^)(\d{1,4}-[0-9a-f]{32})$/.exec(text.trim())?.[1] ?? null;
}

/** What this tab keeps of an account: drafts, and messages that were not sent. It outlives the session. */
export class AccountStorage {
  #prefix;

  constructor(account) {
    this.#prefix = `parlor/${account}/`;
  }

  get(name) {
    return sessionStorage.getItem(this.#prefix + name);
  }

  set(name, value) {
    sessionStorage.setItem(this.#prefix + name, value);
  }

  remove(name) {
    sessionStorage.removeItem(this.#prefix + name);
  }

  clear() {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(this.#prefix)) sessionStorage.removeItem(key);
  }
}
