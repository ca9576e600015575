// The page's start: who is signed in decides what is shown.

import { Api } from "./api.js";
import { byId } from "./element.js";
import { Problem } from "./problem.js";
import { accountName, forgetSession, keepToken, restoreToken } from "./session.js";
import { delayMs, pause } from "./stream.js";
import { Workspace } from "./workspace.js";

const workspace = new Workspace();

function showSignIn(problem = null) {
  workspace.close();
  byId("sign-in").hidden = false;
  byId("sign-in-problem").textContent = problem?.sentence ?? "";
  byId("sign-in-problem").hidden = problem === null;
  byId("token-field").value = "";
  byId("token-field").focus();
}

function signOut(problem = null) {
  forgetSession();
  showSignIn(problem);
}

async function enter(token) {
  let current = true;
  const api = new Api(token, (problem) => {
    // Several requests may learn it at once; the first one is enough.
    if (current) signOut(problem);
    current = false;
  });
  try {
    const personas = await loadPersonas(api);
    byId("sign-in").hidden = true;
    byId("account").textContent = accountName(token);
    await workspace.open(api, personas);
  } catch (error) {
    if (!(error instanceof Problem) || (error.status !== 401 && current)) throw error;
  }
}

/** The first request of all: it waits for a server that is still starting, and tells whether the token is good. */
async function loadPersonas(api) {
  for (let failures = 1; ; failures += 1) {
    try {
      return (await api.personas()).personas;
    } catch (error) {
      if (!(error instanceof Problem) || !error.retryable) throw error;
      byId("sign-in").hidden = false;
      byId("sign-in-problem").textContent = `${error.sentence} Trying again…`;
      byId("sign-in-problem").hidden = false;
      await pause(delayMs(failures, error));
    }
  }
}

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = byId("token-field").value.trim();
  if (!given) return;
  keepToken(given);
  enter(given);
});
byId("sign-out").addEventListener("click", () => {
  history.replaceState(null, "", location.pathname);
  signOut();
});
window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});

const token = restoreToken();
if (token) enter(token);
else showSignIn();
