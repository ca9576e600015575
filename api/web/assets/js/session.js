// Who is signed in: a bearer token, kept in this tab's sessionStorage only.

const KEY = "parlor.token";

/** The token of `#token=...` (which then leaves the address bar), else the one this tab has, else null. */
export function restoreToken() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    keepToken(given);
  }
  return sessionStorage.getItem(KEY);
}

/** Drafts and unsent messages are an account's own: another token starts without them. */
export function keepToken(token) {
  const known = sessionStorage.getItem(KEY);
  if (known === token) return;
  sessionStorage.clear();
  sessionStorage.setItem(KEY, token);
}

/** Forget everything that this tab knows of the account. */
export function forgetSession() {
  sessionStorage.clear();
}

/** The account's name as the token says it, for display only; empty when the token is not a JWT. */
export function accountName(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub ?? "");
  } catch {
    return ""; // An opaque token is as good as any: the server judges it, not the page.
  }
}
