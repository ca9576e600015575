// The dialog for theme, text size and language.

import { ask } from "./dialog.js";
import { byId, element } from "./element.js";
import { prefer, preference } from "./preferences.js";
import { LANGUAGES, t } from "./words.js";

const CHOICES = { theme: ["light", "dark"], size: ["small", "large"] };

/** Whoever writes something meanwhile keeps it: drafts outlive the page. */
export async function openSettings() {
  for (const [name, values] of Object.entries(CHOICES)) {
    const usual = name === "size" ? "normal" : "system";
    fill(name, [["", t(`settings.${name}.${usual}`)], ...values.map((value) => [value, t(`settings.${name}.${value}`)])]);
  }
  const languages = Object.entries(LANGUAGES).map(([name, table]) => [name, table["language.name"]]);
  fill("language", [["", t("settings.language.system")], ...languages]);
  const saved = await ask("settings-dialog", async () => {
    const spoke = preference("language") ?? "";
    for (const name of ["theme", "size", "language"]) prefer(name, byId(`settings-${name}`).value);
    return { reload: spoke !== byId("settings-language").value };
  });
  if (saved?.reload) location.reload();
}

function fill(name, options) {
  const select = byId(`settings-${name}`);
  select.replaceChildren(...options.map(([value, textContent]) => element("option", { value, textContent })));
  select.value = preference(name) ?? "";
}
