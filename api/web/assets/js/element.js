// DOM elements without HTML strings: text only ever becomes text.

/**
 * Make an element. `properties` are DOM properties; `data` and `aria` are written as attributes.
 * Children are nodes or strings; null is left out.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { data = {}, aria = {}, ...rest } = properties;
  Object.assign(made, rest);
  for (const [name, value] of Object.entries(data)) made.dataset[name] = value;
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The element with this id; the page's own mark-up is wrong when it is missing. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}
