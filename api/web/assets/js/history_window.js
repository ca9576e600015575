// A room's history of any length with few elements: only the messages near the screen are on the page. Those between them
// are margins, as high as they were or are expected to be; those that are not loaded are fetched when they come near.

/** Messages on the page beyond the screen, on each side; and as many screens. */
const BEYOND = 8;
const SCREENS = 1;
/** Pixels of a message, until the first ones are measured. */
const USUAL = 120;

export class HistoryWindow {
  #scroller;
  #list;
  #make;
  #onUnmount;
  #load;
  #bySeq = new Map();
  #heights = [];
  /** Seqs of which it is known what is there, perhaps nothing any more. */
  #known = [];
  #newest = 0;
  #usual = USUAL;
  #views = new Map();
  #loading = false;
  /** As it was at the last layout. */
  #following = true;
  #sizes = new ResizeObserver((entries) => this.#onSizes(entries));

  /**
   * `make(message)` makes a view, `onUnmount(view)` hears that it left the page. `load(seq)` fetches the messages around a
   * seq, hands them to `changed`, and says by `know` what is known now.
   */
  constructor({ scroller, list, make, onUnmount, load }) {
    this.#scroller = scroller;
    this.#list = list;
    this.#make = make;
    this.#onUnmount = onUnmount;
    this.#load = load;
  }

  get views() {
    return this.#views.values();
  }

  viewOf(message) {
    return this.#views.get(message.seq);
  }

  get newest() {
    return this.#newest;
  }

  /** Nothing is known any more; what is on the page stays until something else is. */
  forget() {
    this.#bySeq.clear();
    this.#heights = [];
    this.#known = [];
    this.#newest = 0;
  }

  close() {
    this.#sizes.disconnect();
    this.forget();
    this.#views.clear();
    this.#list.replaceChildren();
    this.#list.style.paddingBottom = "";
  }

  /** What there is from one seq to another, both included, has been told. */
  know(from, to) {
    for (let seq = from; seq <= to; seq += 1) this.#known[seq] = true;
    this.#newest = Math.max(this.#newest, to);
  }

  /** A message is there. */
  put(message) {
    this.#bySeq.set(message.seq, message);
    this.#known[message.seq] = true;
    this.#newest = Math.max(this.#newest, message.seq);
  }

  /** A message is not there any more. */
  drop(message) {
    this.#bySeq.delete(message.seq);
    this.#known[message.seq] = true;
    const view = this.#views.get(message.seq);
    if (!view) return;
    const { element } = view;
    if (element.contains(document.activeElement)) (element.previousElementSibling ?? this.#scroller).focus();
    this.#unmount(message.seq, view);
  }

  /** Whether the seq is loaded, or known to be nothing. */
  isKnown(seq) {
    return this.#known[seq] === true;
  }

  /** Bring the page to where the reader is. `following`: to the end; else what is on the screen stays where it is. */
  layout(following) {
    this.#following = following;
    const anchor = following ? null : this.#anchor();
    const wanted = this.#wanted(following);
    for (const [seq, view] of this.#views) {
      if (!this.#bySeq.has(seq) || ((seq < wanted.first || seq > wanted.last) && !isHeld(view))) this.#unmount(seq, view);
    }
    const made = this.#mount(wanted);
    // Before anybody looks at the layout: while the margins are missing, the browser would move the reader.
    this.#space();
    this.#measure(made);
    if (anchor?.element.isConnected) {
      const moved = anchor.element.getBoundingClientRect().top - anchor.top;
      if (Math.abs(moved) > 0.5) this.#scroller.scrollTop += moved;
    }
    this.#fetch(wanted);
  }

  /** Scroll to a seq that is known, or to what comes next; its element, or null when there is nothing. */
  reveal(seq) {
    const { top } = this.#place();
    let height = 0;
    for (let each = 1; each < seq; each += 1) height += this.#height(each);
    this.#scroller.scrollTop += top + height - this.#scroller.clientHeight / 3;
    this.layout(false);
    const view = [...this.#views].filter(([each]) => each >= seq).sort(([one], [other]) => one - other)[0]?.[1];
    view?.element.scrollIntoView({ block: "center" });
    this.layout(false);
    return view?.element ?? null;
  }

  /** Where the list begins, in pixels below the upper edge of the scroller, and how much of it is visible. */
  #place() {
    const top = this.#list.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top;
    return { top, screen: this.#scroller.clientHeight };
  }

  #height(seq) {
    if (this.#bySeq.has(seq)) return this.#heights[seq] ?? this.#usual;
    return this.#known[seq] ? 0 : this.#usual;
  }

  /** The first element that can be seen, and where it is; null when there is none. */
  #anchor() {
    const edge = this.#scroller.getBoundingClientRect();
    for (const element of this.#list.children) {
      if (element.hidden) continue;
      const { top, bottom } = element.getBoundingClientRect();
      if (bottom > edge.top) return top < edge.bottom ? { element, top } : null;
    }
    return null;
  }

  /** The seqs that are on the screen or near it, and those that are on it. */
  #wanted(following) {
    const { top, screen } = this.#place();
    let total = 0;
    for (let seq = 1; seq <= this.#newest; seq += 1) total += this.#height(seq);
    const from = following ? total - screen : -top;
    let first = this.#newest;
    let last = 1;
    let at = 0;
    for (let seq = 1; seq <= this.#newest; seq += 1) {
      const end = at + this.#height(seq);
      if (end >= from - SCREENS * screen && at <= from + (1 + SCREENS) * screen) {
        first = Math.min(first, seq);
        last = Math.max(last, seq);
      }
      at = end;
    }
    return { first: Math.max(1, first - BEYOND), last: Math.min(this.#newest, Math.max(first, last) + BEYOND) };
  }

  /** Puts the missing ones on the page; returns them. */
  #mount({ first, last }) {
    const made = [];
    let next = null;
    for (let seq = last; seq >= first; seq -= 1) {
      let view = this.#views.get(seq);
      const message = this.#bySeq.get(seq);
      if (!view && message) {
        view = this.#make(message);
        this.#views.set(seq, view);
        next ??= this.#after(seq);
        this.#list.insertBefore(view.element, next);
        this.#sizes.observe(view.element);
        made.push([seq, view]);
      }
      if (view) next = view.element;
    }
    return made;
  }

  /** One look at the layout for all of them. The first ones say how high those are expected to be that nobody saw. */
  #measure(made) {
    for (const [seq, { element }] of made) this.#heights[seq] = element.offsetHeight;
    const measured = made.map(([seq]) => this.#heights[seq]).filter((height) => height > 0);
    if (this.#usual !== USUAL || measured.length === 0) return;
    this.#usual = measured.reduce((sum, height) => sum + height, 0) / measured.length;
    this.#space();
  }

  /** The element of the next message that is on the page. */
  #after(seq) {
    return [...this.#list.children].find((element) => Number(element.dataset.seq) > seq) ?? null;
  }

  #unmount(seq, view) {
    this.#sizes.unobserve(view.element);
    view.element.remove();
    this.#views.delete(seq);
    this.#onUnmount(view);
  }

  /** Margins where messages are left out. */
  #space() {
    let gap = 0;
    let seq = 1;
    for (const { element } of [...this.#views].sort(([one], [other]) => one - other).map(([, view]) => view)) {
      const its = Number(element.dataset.seq);
      for (; seq < its; seq += 1) gap += this.#height(seq);
      seq = its + 1;
      if (element.hidden) continue;
      setPixels(element, "marginTop", gap);
      gap = 0;
    }
    for (; seq <= this.#newest; seq += 1) gap += this.#height(seq);
    setPixels(this.#list, "paddingBottom", gap);
  }

  async #fetch({ first, last }) {
    if (this.#loading) return;
    let missing = last;
    while (missing >= first && this.#known[missing]) missing -= 1;
    if (missing < first) return;
    this.#loading = true;
    this.#list.setAttribute("aria-busy", "true");
    try {
      await this.#load(missing);
    } finally {
      this.#loading = false;
      this.#list.removeAttribute("aria-busy");
    }
    // The reader may be elsewhere by now. What could not be loaded waits for the next move.
    if (this.#known[missing]) this.layout(this.#following);
  }

  /** What grows or shrinks above the screen moves nothing on it. */
  #onSizes(entries) {
    const edge = this.#scroller.getBoundingClientRect().top;
    let moved = 0;
    for (const { target } of entries) {
      const seq = Number(target.dataset.seq);
      if (!this.#views.has(seq)) continue;
      const height = target.offsetHeight;
      const grown = height - (this.#heights[seq] ?? height);
      this.#heights[seq] = height;
      if (target.getBoundingClientRect().bottom - grown < edge) moved += grown;
    }
    if (Math.abs(moved) > 0.5) this.#scroller.scrollTop += moved;
  }
}

/** What a person works in, and what is still being written, stays on the page wherever it is. */
function isHeld({ element, message }) {
  return message.open || element.classList.contains("editing") || element.contains(document.activeElement);
}

function setPixels(element, property, pixels) {
  const value = pixels > 0 ? `${pixels}px` : "";
  if (element.style[property] !== value) element.style[property] = value;
}
