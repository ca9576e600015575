// The files of a message: images shown, others as links. The page's token goes in a header, so the bytes are fetched.

import { element } from "./element.js";
import { t } from "./words.js";

export class FilesView {
  element = element("div", { className: "message-files", hidden: true });
  #shown = "";
  #fetch;

  /** `fetchFile(fileId)` resolves to a blob. */
  constructor(fetchFile) {
    this.#fetch = fetchFile;
  }

  show(message) {
    const parts = (message.parts ?? []).filter((part) => part?.type === "image" || part?.type === "file");
    const shown = parts.map((part) => part.file_id).join(" ");
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.element.hidden = parts.length === 0;
    this.element.replaceChildren(...parts.map((part) => (part.type === "image" ? this.#image(part) : this.#link(part))));
  }

  #image(part) {
    const image = element("img", { alt: part.name, title: part.name, className: "message-image" });
    this.#fetch(part.file_id).then(
      (blob) => {
        image.src = URL.createObjectURL(blob);
        image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
      },
      () => image.replaceWith(goneNote(part)),
    );
    return image;
  }

  #link(part) {
    const words = `${part.name} (${sizeText(part.size)})`;
    const link = element("button", { type: "button", className: "button quiet message-file", dir: "auto", textContent: words });
    link.addEventListener("click", async () => {
      try {
        save(await this.#fetch(part.file_id), part.name);
      } catch {
        link.replaceWith(goneNote(part));
      }
    });
    return link;
  }
}

function goneNote(part) {
  return element("span", { className: "message-note", dir: "auto", textContent: t("file.gone", { name: part.name }) });
}

/** Have the browser save it. */
export function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function sizeText(size) {
  if (size < 1024) return t("file.bytes", { count: size });
  return size < 1024 * 1024 ? `${Math.round(size / 1024)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;
}
