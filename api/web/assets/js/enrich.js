// What a finished message gets beside its Markdown: a bar above code, colours in it, formulas. The libraries are loaded
// when the first message needs them; until then, and when they fail, the text stands there as it was written.

import DOMPurify from "../vendor/dompurify/purify.es.mjs";
import { element } from "./element.js";
import { icon } from "./icon.js";
import { announce, notify } from "./notice.js";
import { t } from "./words.js";

const COLOURED = { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true };
const FORMULA = { USE_PROFILES: { mathMl: true }, FORBID_ATTR: ["style", "class", "href"], RETURN_DOM_FRAGMENT: true };
const COPIED_MS = 1_500;

/** Resolves when everything is in place; `host` has what `markdown.render` made. */
export async function enrich(host) {
  const blocks = [...host.querySelectorAll("pre")];
  for (const block of blocks) frame(block);
  await Promise.all([colour(blocks.filter((block) => block.dataset.language)), typeset(host)]);
}

/** Puts a bar with the language's name and a button above a block of code. */
function frame(block) {
  const { language } = block.dataset;
  const button = element("button", { type: "button", className: "button small quiet", title: t("code.copy") }, icon("copy"), t("copy"));
  button.addEventListener("click", () => copy(block.textContent, button));
  // The clipboard is there on https and localhost only.
  button.hidden = !navigator.clipboard;
  const bar = element("div", { className: "code-bar" }, element("span", { textContent: language ?? "" }), button);
  const framed = element("div", { className: "code-frame" });
  block.replaceWith(framed);
  framed.append(bar, block);
  // So that a long line can be read with the keyboard alone.
  block.tabIndex = 0;
}

/** Copies a text and says so on the button that was pressed. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch (error) {
    notify(t("copy.failed", { reason: error.message }));
    return;
  }
  announce(t("copy.done"));
  const shown = [...button.childNodes];
  button.replaceChildren(icon("stored"), ...(shown.length > 1 ? [t("copied")] : []));
  setTimeout(() => button.replaceChildren(...shown), COPIED_MS);
}

async function colour(blocks) {
  if (blocks.length === 0) return;
  const { default: highlighter } = await import("../vendor/highlight/highlight.min.js");
  for (const block of blocks) {
    const code = block.querySelector("code");
    const { language } = block.dataset;
    if (!code || !highlighter.getLanguage(language)) continue;
    const { value } = highlighter.highlight(code.textContent, { language, ignoreIllegals: true });
    code.replaceChildren(DOMPurify.sanitize(value, COLOURED));
  }
}

async function typeset(host) {
  const formulas = [...host.querySelectorAll("code[data-math]")];
  if (formulas.length === 0) return;
  const { default: katex } = await import("../vendor/katex/katex.mjs");
  for (const code of formulas) {
    const displayMode = code.dataset.math === "block";
    let markup;
    try {
      markup = katex.renderToString(code.textContent, { displayMode, output: "mathml", strict: "ignore" });
    } catch (error) {
      if (!(error instanceof katex.ParseError)) throw error;
      code.title = error.message; // A formula that is none stays as it was written.
      continue;
    }
    // MathML carries its TeX along, which a page that does not know annotations would show as text.
    code.replaceWith(DOMPurify.sanitize(markup.replace(/<annotation[^]*?<\/annotation>/g, ""), FORMULA));
  }
}
