// How a person wants the page: kept in this browser, for all accounts.

const PREFIX = "parlor/preference/";

/** `theme`, `size` or `language` as it was chosen; null: as the system or the browser has it. */
export function preference(name) {
  return localStorage.getItem(PREFIX + name);
}

export function prefer(name, value) {
  if (value) localStorage.setItem(PREFIX + name, value);
  else localStorage.removeItem(PREFIX + name);
  applyPreferences();
}

/** The style sheets read them from the root element. */
export function applyPreferences() {
  const { dataset } = document.documentElement;
  for (const name of ["theme", "size"]) {
    const value = preference(name);
    if (value) dataset[name] = value;
    else delete dataset[name];
  }
}
