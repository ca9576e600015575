// The open room: its history, its live events, what is being sent.

import { byId, element } from "./element.js";
import { messageActions } from "./message_actions.js";
import { MessageView } from "./message_view.js";
import { Problem } from "./problem.js";
import { follow, pause, readEvents } from "./stream.js";
import { Transcript, isGone, isRevised } from "./transcript.js";
import { VersionLoader } from "./versions.js";

const PAGE = 50;
const VERSIONS_PAGE = 100;
/** Pixels from the bottom within which the reader counts as following. */
const FOLLOWING = 64;
/** The writers commit within about 3 s; after that the page asks less and less often. */
const DURABILITY_MS = 3_500;
const DURABILITY_LIMIT_MS = 30_000;

export class Conversation {
  #api;
  #room;
  #outbox;
  #hooks;
  #stop = new AbortController();
  #transcript;
  #views = new Map();
  #actions;
  #versions;
  #changed = new Set();
  #frame = 0;
  #running = false;
  #following = true;
  /** Where following put the scroller last. */
  #placed = 0;
  #nextBefore = null;
  #watching = false;
  #resized = new ResizeObserver(() => this.#keepBottom());
  #list = byId("messages");
  #outboxList = byId("outbox");
  #scroller = byId("scroller");
  #older = byId("load-older");
  #note = byId("conversation-note");
  #toNewest = byId("to-newest");

  /**
   * `hooks`: `author(message)` names its sender, `restore(text, files)` puts them back into the composer, `announce(text)`
   * tells a screen reader, `onRunning(whether)` hears of replies that begin and end, `onStatus`, `onGone`, and
   * `onProblem(problem, retry, signal)`, where `retry` may be missing.
   */
  constructor(api, room, outbox, hooks) {
    this.#api = api;
    this.#room = room;
    this.#outbox = outbox;
    this.#hooks = hooks;
    this.#transcript = new Transcript({
      onChange: (message) => this.#onMessage(message),
      onGap: (message) => this.#run(this.#fillGap(message)),
    });
    this.#actions = messageActions({
      api,
      roomId: room.room_id,
      transcript: this.#transcript,
      viewOf: (message) => this.#views.get(message.message_id),
      attempt: (task) => this.#attempt(task),
      onBegun: () => this.#scrollToNewest(),
    });
    this.#versions = new VersionLoader((message) => this.#loadVersions(message), this.#scroller);
  }

  open() {
    const { signal } = this.#stop;
    this.#setNote("Loading…");
    this.#outbox.onChange = () => this.#showOutbox();
    this.#outbox.onSent = ({ message, reply }) => this.#addSent([message, reply]);
    this.#showOutbox();
    this.#resized.observe(this.#scroller);
    this.#resized.observe(this.#scroller.firstElementChild);
    this.#scroller.addEventListener("scroll", () => this.#onScroll(), { signal });
    this.#toNewest.addEventListener("click", () => this.#scrollToNewest(), { signal });
    this.#older.addEventListener("click", () => this.#run(this.#loadOlder()), { signal });
    const path = `rooms/${this.#room.room_id}/events`;
    this.#run(
      follow({
        api: this.#api,
        path,
        signal,
        recover: () => this.#loadNewest(),
        onEvent: (event) => this.#transcript.apply(event),
        onStatus: (status) => this.#onStatus(status),
      }),
    );
  }

  close() {
    this.#stop.abort();
    this.#resized.disconnect();
    this.#versions.close();
    cancelAnimationFrame(this.#frame);
    this.#outbox.onChange = () => {};
    this.#outbox.onSent = () => {};
    this.#views.clear();
    this.#list.replaceChildren();
    this.#outboxList.replaceChildren();
    this.#older.hidden = true;
    this.#toNewest.hidden = true;
    this.#setNote("");
    this.#hooks.onRunning(false);
  }

  send(content, onBusy, files) {
    this.#scrollToNewest();
    this.#run(this.#outbox.send(content, onBusy, files));
  }

  /** Stop the reply that is being written; resolves when the server has answered, or has failed to. */
  async stop() {
    const reply = this.#transcript.running;
    if (!reply) return;
    const { message_id: messageId, attempt } = reply;
    await this.#attempt(async () => {
      this.#transcript.take(await this.#api.stopReply(this.#room.room_id, messageId, attempt));
    });
  }

  /** Somebody learnt how far the room is committed. */
  markPersisted(seq) {
    this.#transcript.markPersisted(seq);
  }

  async #loadNewest() {
    const { signal } = this.#stop;
    const page = await this.#api.listMessages(this.#room.room_id, { limit: PAGE }, signal);
    this.#transcript.replace(page);
    for (const [id, view] of this.#views) if (!this.#transcript.get(id)) this.#remove(view);
    this.#showPaging(page);
    this.#flush();
    this.#setNote("");
    if (!page.cursor) throw new Problem({ status: 503, code: "cache-unavailable" });
    return page.cursor;
  }

  async #loadOlder() {
    if (this.#nextBefore === null) return;
    this.#older.disabled = true;
    try {
      const query = { limit: PAGE, before: this.#nextBefore };
      const page = await this.#api.listMessages(this.#room.room_id, query, this.#stop.signal);
      const below = this.#scroller.scrollHeight - this.#scroller.scrollTop;
      this.#transcript.addPage(page);
      this.#showPaging(page);
      this.#flush();
      this.#scroller.scrollTop = this.#scroller.scrollHeight - below;
    } finally {
      this.#older.disabled = false;
    }
  }

  #showPaging(page) {
    this.#nextBefore = page.has_more ? page.next_before : null;
    this.#older.hidden = this.#nextBefore === null;
  }

  /** Events were missed although the cursor says otherwise: read this one reply again from its start. */
  async #fillGap(message) {
    const path = `rooms/${this.#room.room_id}/messages/${message.message_id}/events`;
    const body = await this.#api.openEvents(path, null, this.#stop.signal);
    for await (const event of readEvents(body)) this.#transcript.apply(event);
  }

  #addSent(messages) {
    const newest = this.#transcript.messages.at(-1)?.seq ?? 0;
    // A replayed receipt may be of long ago; what the page has not loaded yet stays with the history.
    for (const message of messages) {
      if (message && message.seq > newest) this.#transcript.apply({ type: "message.created", data: { message } });
    }
    this.#flush();
  }

  #onMessage(message) {
    const key = message.metadata?.client_key;
    if (key && this.#outbox.entries.some((entry) => entry.key === key)) this.#outbox.remove(key);
    this.#changed.add(message);
    this.#frame ||= requestAnimationFrame(() => this.#flush());
  }

  /** Bring what changed onto the page, at most once a frame. */
  #flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const changed = [...this.#changed].sort((one, other) => other.seq - one.seq);
    this.#changed.clear();
    if (changed.length === 0) return;
    // From the newest to the oldest, so that each message's successor is already in its place.
    for (const message of changed) this.#show(message);
    this.#showRunning();
    this.#keepBottom();
    this.#run(this.#watchDurability());
  }

  #show(message) {
    let view = this.#views.get(message.message_id);
    if (isGone(message)) {
      if (view) this.#remove(view);
      return;
    }
    const wasWriting = view?.isWriting ?? false;
    if (view) {
      view.update(message);
    } else {
      view = new MessageView(message, {
        author: this.#hooks.author(message),
        actions: this.#actions,
        fetchFile: (fileId) => this.#api.getFile(fileId),
        onVersion: (words) => this.#hooks.announce(words),
        onVersions: (asked) => this.#attempt(async () => view.showVersions(await this.#loadVersions(asked))),
      });
      this.#views.set(message.message_id, view);
      this.#list.insertBefore(view.element, this.#successor(message.seq));
    }
    this.#versions.watch(view);
    if (!wasWriting && view.isWriting) this.#hooks.announce("A reply is being written.");
    if (wasWriting && !view.isWriting) this.#hooks.announce(view.spoken);
  }

  #remove(view) {
    const { element: gone, message } = view;
    if (gone.contains(document.activeElement)) (gone.previousElementSibling ?? this.#scroller).focus();
    gone.remove();
    this.#views.delete(message.message_id);
  }

  #showRunning() {
    const running = this.#transcript.running !== undefined;
    if (running === this.#running) return;
    this.#running = running;
    this.#hooks.onRunning(running);
  }

  async #loadVersions(message) {
    const variants = [];
    let cursor;
    do {
      const wanted = { limit: VERSIONS_PAGE, cursor };
      const page = await this.#api.listVariants(this.#room.room_id, message.message_id, wanted, this.#stop.signal);
      variants.push(...page.variants);
      cursor = page.next_cursor;
    } while (cursor);
    return variants;
  }

  /** The element of the next message, or null at the end, where nearly all of them go. */
  #successor(seq) {
    const newest = this.#list.lastElementChild;
    if (!newest || Number(newest.dataset.seq) < seq) return null;
    return [...this.#list.children].find((child) => Number(child.dataset.seq) > seq) ?? null;
  }

  #showOutbox() {
    this.#outboxList.replaceChildren(...this.#outbox.entries.map((entry) => this.#outboxEntry(entry)));
    this.#keepBottom();
  }

  #outboxEntry({ key, content, files = [], state, problem }) {
    const said = [content, ...files.map((file) => file.name)].filter(Boolean).join("\n");
    const body = element("div", { className: "message-body", dir: "auto", textContent: said });
    const ending = element("p", { className: "message-ending" });
    const shown = element("article", { className: "message user", data: { outbox: state } }, body, ending);
    if (state === "sending") {
      ending.textContent = "Sending…";
      return shown;
    }
    ending.classList.add("failed");
    ending.textContent = problem ? `Not sent. ${problem.whole}` : "Not confirmed before the page was closed.";
    const choices = [
      ["Try again", () => this.#run(this.#outbox.retry(key))],
      ["Edit", () => (this.#outbox.remove(key), this.#hooks.restore(content, files))],
      ["Discard", () => this.#outbox.remove(key)],
    ].map(([label, run]) => {
      const button = element("button", { type: "button", className: "button quiet", textContent: label });
      button.addEventListener("click", run);
      return button;
    });
    shown.append(element("footer", { className: "message-foot" }, ...choices));
    return shown;
  }

  #onStatus({ state, problem }) {
    if (state === "waiting" && problem && !this.#note.hidden) this.#setNote(`${problem.sentence} Trying again…`);
    this.#hooks.onStatus({ state, problem });
  }

  #setNote(text) {
    this.#note.textContent = text;
    this.#note.hidden = text === "";
  }

  #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    // Our own scrolling, told late: something may have grown since, and the reader did not move.
    if (this.#following && scrollTop === this.#placed) return;
    this.#following = scrollHeight - scrollTop - clientHeight < FOLLOWING;
    this.#toNewest.hidden = this.#following;
  }

  #keepBottom() {
    if (!this.#following) return;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#placed = this.#scroller.scrollTop;
  }

  #scrollToNewest() {
    this.#following = true;
    this.#toNewest.hidden = true;
    this.#keepBottom();
  }

  /** Nothing is sent when a message reaches the database, so ask, for as long as something is on its way. */
  async #watchDurability() {
    if (this.#watching || this.#transcript.unpersisted.length === 0) return;
    this.#watching = true;
    const { signal } = this.#stop;
    let wait = DURABILITY_MS;
    while (this.#transcript.unpersisted.length > 0 && !signal.aborted) {
      await pause(wait, signal);
      wait = Math.min(wait * 2, DURABILITY_LIMIT_MS);
      if (signal.aborted || document.hidden) continue;
      try {
        await this.#askDurability();
      } catch (error) {
        // The next try will tell; the connection's own status shows that the server is away.
        if (!(error instanceof Problem) || !error.retryable) throw error;
      }
    }
    this.#watching = false;
  }

  async #askDurability() {
    const { signal } = this.#stop;
    const waiting = this.#transcript.unpersisted;
    const roomId = this.#room.room_id;
    if (waiting.some((message) => !isRevised(message))) {
      this.markPersisted((await this.#api.getRoom(roomId, signal)).persisted_seq);
    }
    // The room's position is that of first forms: what was revised is asked for by itself.
    for (const message of waiting.filter(isRevised)) {
      this.#transcript.take(await this.#api.getMessage(roomId, message.message_id, signal));
    }
  }

  /** Something that a person asked for: its problem is shown with a way to try again, where that may help. */
  async #attempt(task) {
    const { signal } = this.#stop;
    try {
      await task();
    } catch (error) {
      if (signal.aborted || !error.retryable) this.#report(error);
      else this.#hooks.onProblem(error, () => this.#attempt(task), signal);
    }
  }

  /** A task of this room: its problem is shown, unless the room was closed meanwhile. */
  async #run(task) {
    try {
      await task;
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error) {
    if (this.#stop.signal.aborted || error?.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    if (error.code === "room-not-found") this.#hooks.onGone();
    else this.#hooks.onProblem(error);
  }
}
