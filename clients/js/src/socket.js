// The events of an account and of its rooms over one WebSocket (`/v1/socket`), for pages in browsers.
//
// An event stream keeps a connection, and browsers open six of them to a host over HTTP/1.1, for all tabs together: with
// two streams a tab, the fourth one would wait for ever. WebSockets are not among the six.

import { NoAnswer, refusal } from "./errors.js";
import { parsed } from "./sse.js";

const SUBPROTOCOL = "parlor.v1";
/** Seconds between two pings, and without a frame after which the connection is given up. */
const PING = 15;
const SILENCE = 45;
const ACCOUNT = "";
const NO_HEADERS = new Headers();

/** The connection cannot be opened, for a reason that a browser does not tell. */
export class NotOpened extends NoAnswer {}

/** What a path has the events of: a room's id as the server writes it, or "" for the account; undefined for what cannot be
 * subscribed to. */
export function subject(path) {
  return path === "/v1/events" ? ACCOUNT : /^\/v1\/rooms\/([^/]+)\/events$/.exec(path)?.[1].toLowerCase();
}

export class EventSocket {
  #url;
  #socket = null;
  #opened = null;
  #timer;
  #heardAt = 0;
  #number = 0;
  #answers = new Map();
  #readers = new Map();
  /** Subjects that are being given up: their last frames may still come. */
  #leaving = new Map();

  constructor(base) {
    this.#url = `${base.replace(/^http/, "ws")}/v1/socket`;
  }

  /** Whether nobody here follows it. */
  isFree(key) {
    return !this.#readers.has(key);
  }

  /**
   * What comes after a cursor (null: from now on): events, and null for each sign of life. `onOpen(cursor)` hears that the
   * server has agreed. Throws `NotOpened`, `NoAnswer` when the connection ends, and what the server refuses with.
   */
  async *events(key, after, { signal, onOpen }) {
    const reader = new Reader(signal);
    this.#readers.set(key, reader);
    try {
      await reader.unlessAborted(this.#leaving.get(key));
      await reader.unlessAborted(this.#open());
      const from = after === null ? {} : { after };
      const { cursor } = await reader.unlessAborted(this.#ask("subscribe", { ...about(key), ...from }));
      onOpen(cursor);
      yield* reader.read();
    } finally {
      reader.end();
      if (this.#readers.get(key) === reader) this.#readers.delete(key);
      this.#leave(key);
    }
  }

  #leave(key) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const left = this.#ask("unsubscribe", about(key))
      .catch(() => {})
      .then(() => {
        this.#leaving.delete(key);
        if (!this.#readers.size && !this.#leaving.size) this.#socket?.close();
      });
    this.#leaving.set(key, left);
  }

  #open() {
    this.#opened ??= new Promise((resolve, reject) => {
      const socket = new WebSocket(this.#url, SUBPROTOCOL);
      this.#socket = socket;
      this.#heardAt = Date.now();
      this.#timer = setInterval(() => this.#look(), PING * 1000);
      socket.onopen = resolve;
      socket.onmessage = ({ data }) => {
        try {
          this.#hear(data);
        } catch {
          // Whoever that is, it does not speak `parlor.v1`.
          socket.close();
        }
      };
      socket.onclose = ({ reason }) => {
        reject(new NotOpened("the connection cannot be opened"));
        this.#closed(new NoAnswer(`the connection ended${reason ? `: ${reason}` : ""}`));
      };
    });
    return this.#opened;
  }

  #look() {
    if (Date.now() - this.#heardAt > SILENCE * 1000) this.#socket.close();
    else if (this.#socket.readyState === WebSocket.OPEN) this.#ask("ping", {}).catch(() => {});
  }

  #ask(op, fields) {
    const ref = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#answers.set(ref, { resolve, reject });
      this.#socket.send(JSON.stringify({ op, ref, ...fields }));
    });
  }

  #hear(text) {
    this.#heardAt = Date.now();
    const frame = parsed(text);
    if (frame.event === undefined) {
      this.#answered(frame);
      for (const reader of this.#readers.values()) reader.push(null);
      return;
    }
    const key = frame.room_id ?? ACCOUNT;
    if (!this.#leaving.has(key)) this.#readers.get(key)?.push({ id: frame.id, type: frame.event, data: frame.data });
  }

  #answered({ ref, status, body }) {
    const answer = this.#answers.get(ref);
    this.#answers.delete(ref);
    if (status < 300) answer?.resolve(body);
    else answer?.reject(refusal(status, NO_HEADERS, JSON.stringify(body)));
  }

  #closed(failure) {
    clearInterval(this.#timer);
    this.#socket = null;
    this.#opened = null;
    for (const { reject } of this.#answers.values()) reject(failure);
    this.#answers.clear();
    for (const reader of this.#readers.values()) reader.end(failure);
  }
}

/** What has come and is not read yet. */
class Reader {
  #waiting = [];
  #failure;
  #ended = false;
  #wake = () => {};
  #signal;
  #abort;
  #aborted;

  constructor(signal) {
    this.#signal = signal;
    this.#aborted = new Promise((_, reject) => {
      this.#abort = () => {
        reject(signal.reason);
        this.#wake();
      };
    });
    this.#aborted.catch(() => {});
    signal?.addEventListener("abort", this.#abort);
  }

  unlessAborted(promise) {
    return Promise.race([promise, this.#aborted]);
  }

  push(event) {
    this.#waiting.push(event);
    this.#wake();
  }

  /** With a failure: when what has come is read. */
  end(failure) {
    this.#failure ??= failure;
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#wake();
  }

  async *read() {
    for (;;) {
      this.#signal?.throwIfAborted();
      if (this.#waiting.length) yield this.#waiting.shift();
      else if (this.#ended) throw this.#failure;
      else await new Promise((resolve) => (this.#wake = resolve));
    }
  }
}

function about(key) {
  return key === ACCOUNT ? { account: true } : { room_id: key };
}
