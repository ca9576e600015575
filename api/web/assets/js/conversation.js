// The open room: its history, its live events, what is being sent.

import { decide } from "./decisions.js";
import { DurabilityWatch } from "./durability.js";
import { byId } from "./element.js";
import { messageActions } from "./message_actions.js";
import { HistoryWindow } from "./history_window.js";
import { MessageView } from "./message_view.js";
import { outboxEntry } from "./outbox_view.js";
import { Problem } from "./problem.js";
import { follow } from "./stream.js";
import { Transcript, isGone } from "./transcript.js";
import { VersionLoader, answeredFrom } from "./versions.js";
import { t } from "./words.js";

const PAGE = 50;
/** How long a message that was looked for stands out. */
const FOUND_MS = 2_500;
/** Pixels from the bottom within which the reader counts as following. */
const FOLLOWING = 64;

export class Conversation {
  #api;
  #room;
  #outbox;
  #hooks;
  #stop = new AbortController();
  #transcript;
  #window;
  #actions;
  #versions;
  #changed = new Set();
  #frame = 0;
  #scrolled = 0;
  #running = false;
  #following = true;
  /** Where following put the scroller last. */
  #placed = 0;
  #durability;
  #resized = new ResizeObserver(() => this.#keepBottom());
  #list = byId("messages");
  #outboxList = byId("outbox");
  #scroller = byId("scroller");
  #note = byId("conversation-note");
  #toNewest = byId("to-newest");

  /**
   * `hooks`: `author(message)` names its sender, `restore(text, files)` puts them back into the composer, `announce(text)`
   * tells a screen reader, `personas()` can answer, `onRunning(whether)` hears of replies that begin and end, `onStatus`, `onGone`,
   * `onBranch(message, text, signal)` goes on from a message in a new room, and
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
      viewOf: (message) => this.#window.viewOf(message),
      attempt: (task) => this.#attempt(task),
      onBegun: () => this.#scrollToNewest(),
      onBranch: (message, text) => this.#hooks.onBranch(message, text, this.#stop.signal),
      personas: () => this.#hooks.personas(),
    });
    this.#durability = new DurabilityWatch(api, room.room_id, this.#transcript, this.#stop.signal);
    this.#window = new HistoryWindow({
      scroller: this.#scroller,
      list: this.#list,
      make: (message) => this.#makeView(message),
      onUnmount: (view) => this.#versions.forget(view),
      load: (seq) => this.#run(this.#loadAround(seq)),
    });
    this.#versions = new VersionLoader((message) => this.#loadVersions(message), this.#scroller);
  }

  /** `onLoaded()` is called once, when the newest messages are there. */
  open(onLoaded = () => {}) {
    const { signal } = this.#stop;
    this.#setNote(t("loading"));
    this.#outbox.onChange = () => this.#showOutbox();
    this.#outbox.onSent = ({ message, reply }) => this.#addSent([message, reply]);
    this.#showOutbox();
    this.#resized.observe(this.#scroller);
    this.#resized.observe(this.#scroller.firstElementChild);
    this.#scroller.addEventListener("scroll", () => this.#onScroll(), { signal });
    this.#toNewest.addEventListener("click", () => this.#scrollToNewest(), { signal });
    this.#run(
      follow({
        events: (options) => this.#api.roomEvents(this.#room.room_id, options),
        signal,
        recover: async () => {
          try {
            return await this.#loadNewest();
          } finally {
            if (this.#window.newest) onLoaded(), (onLoaded = () => {});
          }
        },
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
    cancelAnimationFrame(this.#scrolled);
    this.#outbox.onChange = () => {};
    this.#outbox.onSent = () => {};
    this.#window.close();
    this.#outboxList.replaceChildren();
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
      this.#transcript.take(await this.#api.stop(this.#room.room_id, messageId, { attempt }));
    });
  }

  /** Begin to edit the person's last message; false when there is none that can be. */
  editLast() {
    const edit = this.#actions.find((action) => action.name === "edit");
    const last = this.#transcript.messages.findLast((message) => edit.when(message));
    if (!last) return false;
    edit.run(last);
    return true;
  }

  /** Somebody learnt how far the room is committed. */
  markPersisted(seq) {
    this.#transcript.markPersisted(seq);
  }

  async #loadNewest() {
    const { signal } = this.#stop;
    const page = await this.#api.listMessages(this.#room.room_id, { limit: PAGE, signal });
    this.#window.forget();
    this.#transcript.replace(page);
    this.#know(page, page.messages.at(-1)?.seq ?? 0);
    this.#flush();
    this.#layout();
    this.#setNote("");
    if (!page.cursor) throw new Problem({ status: 503, code: "cache-unavailable" });
    return page.cursor;
  }

  /** Load the messages around a seq: those before it, and some behind it. */
  async #loadAround(seq) {
    const before = Math.min(seq + PAGE / 2, this.#window.newest + 1);
    const page = await this.#api.listMessages(this.#room.room_id, { limit: PAGE, before, signal: this.#stop.signal });
    this.#transcript.addPage(page);
    this.#know(page, before - 1);
    this.#flush();
    this.#layout();
  }

  /** A page tells of all seqs from its first message up to `to`. */
  #know(page, to) {
    this.#window.know(page.has_more ? page.next_before : 1, to);
  }

  /** Show the message with this seq, or the next one that is still there. */
  async goTo(seq) {
    const wanted = Math.min(Math.max(1, seq), this.#window.newest);
    await this.#run(this.#window.isKnown(wanted) ? null : this.#loadAround(wanted));
    if (this.#stop.signal.aborted) return;
    this.#following = false;
    const found = this.#window.reveal(wanted);
    found?.focus({ preventScroll: true });
    found?.classList.add("found");
    setTimeout(() => found?.classList.remove("found"), FOUND_MS);
  }

  /** Show the first message of a day, which bisection finds: messages are in the order of their times. */
  async goToDay(midnight) {
    let low = 1;
    let high = this.#window.newest;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const query = { limit: 1, after: middle - 1, signal: this.#stop.signal };
      const { messages } = await this.#api.listMessages(this.#room.room_id, query);
      if (messages.length === 0 || Date.parse(messages[0].timestamp) >= midnight) high = middle;
      else low = messages[0].seq + 1;
    }
    await this.goTo(low);
  }

  #layout() {
    this.#window.layout(this.#following);
    this.#keepBottom();
  }

  /** Events were missed although the cursor says otherwise: read this one reply again from its start. */
  async #fillGap(message) {
    const options = { signal: this.#stop.signal };
    for await (const event of this.#api.replyEvents(this.#room.room_id, message.message_id, options)) {
      this.#transcript.apply(event);
      if (!this.#transcript.get(message.message_id)?.open) return;
    }
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
    const changed = [...this.#changed];
    this.#changed.clear();
    if (changed.length === 0) return;
    const newest = this.#window.newest;
    for (const message of changed) this.#show(message);
    // What is on the page may only have grown: most frames of a reply need no more than that.
    if (this.#window.newest !== newest || changed.some((message) => !this.#window.viewOf(message))) this.#layout();
    this.#showRunning();
    this.#keepBottom();
    this.#run(this.#durability.watch());
  }

  #show(message) {
    if (isGone(message)) {
      this.#window.drop(message);
      return;
    }
    this.#window.put(message);
    const view = this.#window.viewOf(message);
    if (!view) return;
    const wasWriting = view.isWriting;
    const undecided = view.undecided?.tool_call_id;
    view.update(message);
    this.#versions.watch(view);
    this.#relate(message, view);
    const asks = view.undecided;
    if (asks && asks.tool_call_id !== undecided) this.#hooks.announce(t("approval.label", { tool: asks.title || asks.name }));
    else if (!wasWriting && view.isWriting) this.#hooks.announce(t("messages.writing"));
    if (wasWriting && !view.isWriting) this.#hooks.announce(view.spoken);
  }

  #makeView(message) {
    const view = new MessageView(message, {
      author: this.#hooks.author(message),
      actions: this.#actions,
      fetchFile: (fileId) => this.#api.download(fileId),
      onVersion: (shown, words) => (this.#relate(shown, view), this.#hooks.announce(words)),
      onDecide: (about, call, decision) => decide(this.#api, this.#transcript, about, call, decision),
      onVersions: (asked) => this.#attempt(async () => view.showVersions(await this.#loadVersions(asked))),
    });
    this.#versions.watch(view);
    this.#relate(message, view);
    if (view.isWriting) this.#hooks.announce(t("messages.writing"));
    return view;
  }

  /** A reply shows what answers the version of its question that is shown. */
  #relate(message, view) {
    if (message.sender_type === "USER") {
      const reply = this.#transcript.messages.find(({ parent_message_id: parent }) => parent === message.message_id);
      if (reply) this.#window.viewOf(reply)?.answer(view.answers);
      return;
    }
    const question = this.#transcript.get(message.parent_message_id);
    if (!question) return;
    const shown = this.#window.viewOf(question);
    // What is being written answers what the question says now.
    if (message.open) shown?.showNewest();
    view.answer(shown ? shown.answers : { from: answeredFrom(question), below: Infinity });
  }

  #showRunning() {
    const running = this.#transcript.running !== undefined;
    if (running === this.#running) return;
    this.#running = running;
    this.#hooks.onRunning(running);
  }

  async #loadVersions(message) {
    const variants = [];
    const options = { signal: this.#stop.signal };
    for await (const each of this.#api.variants(this.#room.room_id, message.message_id, options)) variants.push(each);
    return variants;
  }

  #showOutbox() {
    const choices = {
      retry: ({ key }) => this.#run(this.#outbox.retry(key)),
      edit: ({ key, content, files }) => (this.#outbox.remove(key), this.#hooks.restore(content, files)),
      discard: ({ key }) => this.#outbox.remove(key),
    };
    this.#outboxList.replaceChildren(...this.#outbox.entries.map((entry) => outboxEntry(entry, choices)));
    this.#keepBottom();
  }

  #onStatus({ state, problem }) {
    if (state === "waiting" && problem && !this.#note.hidden) this.#setNote(t("messages.trying", { problem: problem.sentence }));
    if (state === "live") this.#run(this.#outbox.resume());
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
    this.#scrolled ||= requestAnimationFrame(() => {
      this.#scrolled = 0;
      this.#window.layout(this.#following);
    });
  }

  #keepBottom() {
    if (!this.#following) return;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#placed = this.#scroller.scrollTop;
  }

  #scrollToNewest() {
    this.#following = true;
    this.#toNewest.hidden = true;
    this.#layout();
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
