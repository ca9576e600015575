// Dialogs that ask, do what was asked, and stay open with the reason when it did not work.

import { byId } from "./element.js";
import { Problem } from "./problem.js";

/**
 * Open a dialog of index.html. `submit()` does the work; its Problem is shown in the dialog. Resolves to what it
 * returned, or to undefined when the dialog was left with Cancel or Escape.
 */
export function ask(id, submit) {
  const dialog = byId(id);
  const form = dialog.querySelector("form");
  const problem = form.querySelector(".problem");
  const button = form.querySelector("[type=submit]");
  const done = new AbortController();
  const { signal } = done;
  let result;
  problem.hidden = true;
  button.disabled = false;
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => (done.abort(), resolve(result)), { signal });
    form.querySelector("[data-close]").addEventListener("click", () => dialog.close(), { signal });
    // A click on the backdrop lands on the dialog itself: its form fills all of its inside.
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(), { signal });
    form.addEventListener(
      "submit",
      async (event) => {
        event.preventDefault();
        button.disabled = true;
        try {
          result = await submit();
          dialog.close();
        } catch (error) {
          if (!(error instanceof Problem)) return reject(error);
          problem.textContent = error.whole;
          problem.hidden = false;
        } finally {
          button.disabled = false;
        }
        return undefined;
      },
      { signal },
    );
    dialog.showModal();
  });
}

/** Ask before something that cannot be undone. */
export function confirm({ heading, text, button }, submit) {
  byId("confirm-heading").textContent = heading;
  byId("confirm-text").textContent = text;
  byId("confirm-button").textContent = button;
  return ask("confirm-dialog", submit);
}
