// The operators' page: who may see it, and what is asked for while they look.

import { Arrival } from "../arrival.js";
import { byId } from "../element.js";
import { applyPreferences } from "../preferences.js";
import { Problem } from "../problem.js";
import { codeIn, tabs, takeCode } from "../session.js";
import { SignInForm } from "../sign_in.js";
import { pause } from "../waiting.js";
import { fillIn, t } from "../words.js";
import { AccountsView } from "./accounts_view.js";
import { AdminApi } from "./api.js";
import { DeadLettersView } from "./dead_letters_view.js";
import { StatusView } from "./status_view.js";

/** Milliseconds between two looks, as `parlor top` has it. */
const INTERVAL_MS = 2_000;
const ADMIN = "admin";

applyPreferences();
fillIn();
document.title = t("admin.title");

const door = new AdminApi();
const form = new SignInForm(door, { onSession: enter, onProblem: showSignIn, offers: false });
const arrival = new Arrival(door, form);
/** Ends what is asked for the account that is signed in. */
let looking = null;
let account = null;

function showSignIn(text = "") {
  looking?.abort();
  account = null;
  byId("operations").hidden = true;
  form.show(text);
}

async function enter(session) {
  if (!session.scopes.includes(ADMIN)) return showSignIn(t("admin.forbidden", { account: session.account_id }));
  looking?.abort();
  looking = new AbortController();
  const { signal } = looking;
  if (session.account_id !== account) tabs.postMessage({ account: session.account_id });
  account = session.account_id;
  form.hide();
  byId("account").textContent = account;
  byId("operations").hidden = false;
  const api = new AdminApi((problem) => signal.aborted || showSignIn(problem.sentence));
  await Promise.all([
    watch(api, new StatusView(), signal),
    new DeadLettersView(api, signal).open(),
    new AccountsView(api, signal).open(),
  ]);
  return undefined;
}

/** Asks for the status again and again while somebody looks. */
async function watch(api, view, signal) {
  while (!signal.aborted) {
    if (!document.hidden) {
      try {
        view.show(await api.status(signal), performance.now());
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        if (error.status === 403) return showSignIn(error.whole);
        view.showProblem(error);
      }
    }
    await pause(INTERVAL_MS, signal);
  }
}

async function start() {
  const code = takeCode();
  const known = await arrival.present();
  const session = code ? await arrival.useCode(code, known, showSignIn) : known;
  if (session) await enter(session);
  else if (!code) showSignIn();
}

byId("sign-out").addEventListener("click", async () => {
  const elsewhere = await arrival.signOut(account);
  if (elsewhere === undefined) return;
  if (elsewhere) return location.assign(elsewhere);
  return showSignIn();
});

tabs.addEventListener("message", ({ data }) => {
  if (data.account === account) return;
  if (data.account === null) showSignIn(t("sign-in.elsewhere"));
  else location.reload();
});

window.addEventListener("hashchange", () => {
  if (codeIn(location.hash)) location.reload();
});

start();
