// Markdown to DOM nodes. Everything passes DOMPurify on every render; raw HTML is shown as the text it is.

import DOMPurify from "../vendor/dompurify/purify.es.mjs";
import { Marked } from "../vendor/marked/marked.esm.js";

const INLINE_IMAGE = /^data:image\/(png|jpeg|gif|webp);base64,/i;

/** A formula, as TeX between the marks that models write. A dollar before a digit or a blank is money. */
const BLOCK_FORMULA = /^(?:\$\$([^]+?)\$\$|\\\[([^]+?)\\\])[ \t]*(?:\n|$)/;
const INLINE_FORMULA =
  /^(?:\\\(([^\n]+?)\\\)|\$\$([^\n]+?)\$\$|\\\[([^\n]+?)\\\]|\$(?!\s)((?:\\[^\n]|[^\\$\n])+?)(?<!\s)\$(?!\d))/;

function formula(name, level, pattern, start) {
  return {
    name,
    level,
    start: (text) => start.exec(text)?.index,
    tokenizer(text) {
      const found = pattern.exec(text);
      if (!found) return undefined;
      return { type: name, raw: found[0], text: found.slice(1).find((part) => part !== undefined).trim() };
    },
    renderer: ({ text }) => {
      const code = `<code class="language-math-${level}">${escape(text)}</code>`;
      return level === "block" ? `<p>${code}</p>` : code;
    },
  };
}

const marked = new Marked({
  extensions: [
    formula("blockFormula", "block", BLOCK_FORMULA, /\$\$|\\\[/),
    formula("inlineFormula", "inline", INLINE_FORMULA, /\$|\\[([]/),
  ],
  gfm: true,
  breaks: true,
  renderer: {
    html({ text }) {
      // Models write <br> in table cells; nothing else of HTML is taken.
      return /^<br\s*\/?>$/i.test(text.trim()) ? "<br>" : escape(text);
    },
    image({ href, text }) {
      if (INLINE_IMAGE.test(href)) return `<img src="${escape(href)}" alt="${escape(text)}">`;
      return `<a href="${escape(href)}">${escape(text || href)}</a>`;
    },
  },
});

const PURIFY = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "input", "li", "ol",
    "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["align", "alt", "checked", "class", "disabled", "href", "src", "start", "title", "type"],
  // Not addresses, so the next rule is not about them.
  ADD_URI_SAFE_ATTR: ["align", "checked", "disabled", "start", "type"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const CLASSES = { CODE: /^language-[\w+#.-]{1,40}$/, SPAN: /^hljs-[\w -]+$/ };

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") guardLink(node);
  // A language's name on code, and what highlighting made of it (enrich.js); nothing that the page's styles know.
  if (!CLASSES[node.nodeName]?.test(node.getAttribute("class") ?? "")) node.removeAttribute("class");
  if (node.nodeName === "INPUT") {
    // Task lists only: a tick that nobody can press.
    if (node.getAttribute("type") !== "checkbox") node.removeAttribute("type");
    node.setAttribute("disabled", "");
  }
  // Loading a remote image would tell its server who reads the message.
  if (node.nodeName === "IMG" && !INLINE_IMAGE.test(node.getAttribute("src") ?? "")) node.removeAttribute("src");
});

function guardLink(link) {
  const href = link.getAttribute("href") ?? "";
  let target = null;
  try {
    target = new URL(href);
  } catch {
    // Not an absolute address: handled like every other link that leads nowhere.
  }
  // A link back to this page could carry a #code= and offer to sign the reader in as somebody else.
  if (!target || !["http:", "https:", "mailto:"].includes(target.protocol) || target.origin === location.origin) {
    link.removeAttribute("href");
    return;
  }
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer nofollow");
}

function escape(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** The text as sanitised nodes. */
export function render(text) {
  return finishBlocks(DOMPurify.sanitize(marked.parse(text), PURIFY));
}

function finishBlocks(fragment) {
  for (const block of fragment.querySelectorAll("p, li, h1, h2, h3, h4, h5, h6, blockquote, td, th")) block.dir = "auto";
  for (const code of fragment.querySelectorAll("code[class]")) {
    const name = code.className.slice("language-".length);
    code.removeAttribute("class");
    if (name === "math-block" || name === "math-inline") code.dataset.math = name.slice("math-".length);
    else if (code.parentElement?.localName === "pre") code.parentElement.dataset.language = name;
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = document.createElement("div");
    frame.className = "table-frame";
    // So that a wide table can be read with the keyboard alone.
    frame.tabIndex = 0;
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

/**
 * Markdown that is still growing: blocks that can no longer change are rendered once, only the last one again.
 * So a long reply costs the browser its length, not its length squared.
 */
export class GrowingMarkdown {
  #host;
  #text = "";
  #settled = 0;
  #openNodes = [];

  constructor(host) {
    this.#host = host;
  }

  /** Show this text; cheap when it continues the last one. */
  grow(text) {
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) this.#clear();
    this.#text = text;
    const rest = text.slice(this.#settled);
    const blocks = marked.lexer(rest);
    let last = blocks.length - 1;
    while (last > 0 && blocks[last].type === "space") last -= 1;
    const settling = blocks.slice(0, Math.max(last, 0)).reduce((length, block) => length + block.raw.length, 0);
    for (const node of this.#openNodes) node.remove();
    // marked counts tabs and line ends as it rewrote them; settle only what is literally the text.
    if (settling > 0 && rest.startsWith(blocks.slice(0, last).map((block) => block.raw).join(""))) {
      this.#host.append(render(rest.slice(0, settling)));
      this.#settled += settling;
    }
    const open = render(text.slice(this.#settled));
    this.#openNodes = [...open.childNodes];
    this.#host.append(open);
  }

  /** Show the final text, parsed as a whole (a definition at its end may serve a link at its start). */
  finish(text) {
    this.#clear();
    this.#text = text;
    this.#settled = text.length;
    this.#host.append(render(text));
  }

  #clear() {
    this.#host.replaceChildren();
    this.#text = "";
    this.#settled = 0;
    this.#openNodes = [];
  }
}
