// The page's start: who is signed in decides what is shown.

import { Api } from "./api.js";
import { Arrival } from "./arrival.js";
import { byId } from "./element.js";
import { notify } from "./notice.js";
import { applyPreferences } from "./preferences.js";
import { Problem } from "./problem.js";
import { AccountStorage, codeIn, tabs, takeCode } from "./session.js";
import { SignInForm, takePlace, takeProblem } from "./sign_in.js";
import { fillIn, t } from "./words.js";
import { Workspace } from "./workspace.js";

applyPreferences();
fillIn();

const workspace = new Workspace();
/** For what is asked before somebody is signed in: a 401 is an answer here, not the end of a session. */
const door = new Api();
/** Who is signed in in this tab, or null. */
let account = null;
/** How often that has changed: what an earlier session still answers changes nothing. */
let sessions = 0;

const form = new SignInForm(door, {
  async onSession(session) {
    tabs.postMessage({ account: session.account_id });
    await enter(session);
  },
  onProblem: showSignIn,
});
const arrival = new Arrival(door, form);

function showSignIn(text = "") {
  sessions += 1;
  account = null;
  workspace.close();
  form.show(text);
}

async function enter({ account_id: name }) {
  sessions += 1;
  const mine = sessions;
  workspace.close();
  account = name;
  const api = new Api((problem) => {
    // Several requests may learn it at once; the first one is enough.
    if (mine === sessions) showSignIn(problem.sentence);
  });
  try {
    const personas = await arrival.patiently((retries) => api.personas({ retries }));
    if (mine !== sessions) return;
    form.hide();
    byId("account").textContent = name;
    await workspace.open(api, personas, new AccountStorage(name));
  } catch (error) {
    if (!(error instanceof Problem) || (error.status !== 401 && mine === sessions)) throw error;
  }
}

async function start() {
  const code = takeCode();
  const problem = takeProblem();
  const isBack = takePlace();
  const known = await arrival.present();
  const session = code ? await arrival.useCode(code, known, showSignIn) : known;
  if (session && (isBack || session !== known)) tabs.postMessage({ account: session.account_id });
  if (session) {
    if (problem) notify(problem);
    await enter(session);
  } else if (!code) showSignIn(problem);
}

byId("sign-out").addEventListener("click", async () => {
  const elsewhere = await arrival.signOut(account);
  if (elsewhere === undefined) return;
  history.replaceState(null, "", location.pathname);
  if (elsewhere) return location.assign(elsewhere);
  return showSignIn();
});

tabs.addEventListener("message", ({ data }) => {
  if (data.account === account) return;
  if (data.account === null) showSignIn(t("sign-in.elsewhere"));
  else enter({ account_id: data.account });
});

window.addEventListener("hashchange", () => {
  if (codeIn(location.hash) || location.hash.startsWith("#sign-in-problem=")) location.reload();
});

start();
