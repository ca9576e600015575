// A menu that hangs on a button: things to do, or one of several to choose.

import { byId, element } from "./element.js";

/**
 * `items` are `{ label, about, checked, run }`; `checked` (true or false) makes the item one of several to choose. The
 * browser closes the menu at Escape or a click elsewhere, and gives the focus back.
 */
export function openMenu(button, items, label) {
  const menu = byId("menu");
  if (menu.matches(":popover-open")) menu.hidePopover();
  menu.setAttribute("aria-label", label);
  menu.replaceChildren(...items.map((item) => itemOf(item, menu, button)));
  menu.onkeydown = (event) => move(event, menu);
  menu.showPopover();
  place(menu, button);
  (menu.querySelector("[aria-checked=true]") ?? menu.firstElementChild).focus();
}

/** Have one of the personas chosen; the one that is `current` cannot be. */
export function choosePersona(button, personas, current, onChosen) {
  const items = personas.map(({ name, title, description, model }) => ({
    label: title || name,
    about: [description, model].filter(Boolean).join(" · "),
    checked: name === current,
    run: () => onChosen(name),
  }));
  openMenu(button, items, button.getAttribute("aria-label") ?? button.textContent);
}

function itemOf({ label, about, checked, run }, menu, button) {
  const made = element(
    "button",
    { type: "button", className: "menu-item", tabIndex: -1 },
    element("span", { textContent: label, dir: "auto" }),
    about ? element("span", { className: "faint", textContent: about, dir: "auto" }) : null,
  );
  made.setAttribute("role", checked === undefined ? "menuitem" : "menuitemradio");
  if (checked !== undefined) made.setAttribute("aria-checked", String(checked));
  made.addEventListener("click", () => {
    menu.hidePopover();
    if (button.isConnected) button.focus();
    run();
  });
  return made;
}

function move(event, menu) {
  const items = [...menu.children];
  const here = items.indexOf(document.activeElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: -1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  items.at(to % items.length).focus();
}

/** Below the button, or above it where there is no room. */
function place(menu, button) {
  const at = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = at.bottom + height < innerHeight ? at.bottom + 4 : Math.max(8, at.top - height - 4);
  menu.style.top = `${below}px`;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
}
