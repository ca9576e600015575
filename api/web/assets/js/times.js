// Times as the reader's own language writes them.

import { preference } from "./preferences.js";

/** The time today, else the date too. */
export function shownTime(timestamp) {
  const at = new Date(timestamp);
  if (Number.isNaN(at.getTime())) return "";
  const today = at.toDateString() === new Date().toDateString();
  const style = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(preference("language") ?? undefined, style).format(at);
}
