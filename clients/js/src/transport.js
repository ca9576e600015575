// Requests and event streams that go on through cuts.

import { BadAnswer, ClientError, NoAnswer, NotFound, Refused, refusal, StreamExpired, Unauthenticated } from "./errors.js";
import { Pauses } from "./retries.js";
import { EventSocket, NotOpened, subject } from "./socket.js";
import { EventParser, parsed } from "./sse.js";

const EVENT_STREAM = "text/event-stream";
/** The server ends the stream. */
const RECONNECT = "stream.reconnect";
/** Whether an event says that all is well: one of what is followed, or that the stream has had its time. */
const isProgress = ({ type, data }) => type !== RECONNECT || data.reason === "lifetime";
/** Seconds without a byte. An event stream has a heartbeat every 15. */
const SILENCE = 45;
/** Milliseconds for which event streams are used instead of a socket that cannot be opened. */
const WITHOUT_SOCKET = 60_000;
const nothing = () => {};

export class Transport {
  #base;
  #source;
  #token;
  #options;
  #socket;
  #streamsUntil = 0;
  /** The token of the request that each refusal answers. */
  #tokenOf = new WeakMap();

  /** `token`: a text, a function that gives one (asked again when the last one is refused), or undefined: then the
   * browser's cookie says who it is. With `options.socket` events come over one connection for all of them, where that
   * can be opened; the cookie says who that is. */
  constructor(base, token, options) {
    if (!/^https?:\/\//.test(base)) throw new TypeError(`not an address of HTTP: ${base}`);
    this.#base = base.replace(/\/+$/, "");
    this.#source = token;
    this.#options = options;
    this.#socket = options.socket ? new EventSocket(this.#base) : null;
  }

  #pauses(retries = {}) {
    return new Pauses({ ...this.#options.retries, ...retries }, this.#options.random);
  }

  /** What is answered in the end: JSON, or what `read` makes of the response. `retries`: what is another for this call. */
  async call(method, path, { signal, retries, repeatable = true, goneIsDone = false, seconds = 0, read = json, ...rest } = {}) {
    const pauses = this.#pauses(retries);
    let unanswered = false;
    for (;;) {
      let failure;
      const limit = new Limit(this.#options.timeout + seconds, signal);
      try {
        return await read(await this.#fetch(method, path, { ...rest, signal: limit.signal }));
      } catch (error) {
        failure = meaning(error, signal);
      } finally {
        limit.end();
      }
      unanswered ||= failure instanceof NoAnswer;
      if (await this.#renewed(failure)) {
        pauses.again(failure);
        continue;
      }
      if (unanswered && goneIsDone && failure instanceof NotFound) return undefined;
      if (!(repeatable || failure instanceof Refused)) throw failure;
      await this.#options.sleep(pauses.after(failure), signal);
    }
  }

  /** The body of an event stream, of one try. */
  async #open(path, cursor, signal) {
    const headers = { Accept: EVENT_STREAM, ...(cursor === null ? {} : { "Last-Event-ID": cursor }) };
    const response = await this.#fetch("GET", path, { headers, signal });
    const type = response.headers.get("content-type")?.split(";")[0].trim();
    if (type !== EVENT_STREAM) throw new BadAnswer(`${type ?? "nothing"} instead of ${EVENT_STREAM}`);
    return response.body;
  }

  /**
   * What comes after a cursor, each event once, without end. `after` may be a function instead, which reads what the events
   * are about and resolves to their cursor; it is asked first, and again when the server has no events from so long ago.
   * `onConnect()` and `onOpen()` hear of each time that they are asked for, and that the server begins to tell them.
   */
  async *events(path, after = null, { signal, retries, onConnect = nothing, onOpen = nothing } = {}) {
    const pauses = this.#pauses(retries);
    const recover = typeof after === "function" ? after : null;
    let cursor = recover ? undefined : after;
    for (;;) {
      let failure;
      let wasCut = false;
      onConnect();
      try {
        cursor ??= await recover?.();
      } catch (error) {
        // Whatever else is the caller's mistake.
        if (!(error instanceof ClientError)) throw error;
        failure = error;
      }
      const place = { cursor };
      const opened = () => {
        wasCut = true;
        onOpen();
      };
      try {
        if (failure) throw failure;
        for await (const event of this.#told(path, place, signal, opened)) {
          if (event === null || isProgress(event)) pauses.progress();
          if (event?.type === RECONNECT) wasCut = false;
          else if (event) yield event;
        }
        failure = new NoAnswer("the stream ended");
      } catch (error) {
        failure = meaning(error, signal);
      }
      cursor = place.cursor;
      if (await this.#renewed(failure)) {
        pauses.again(failure);
        continue;
      }
      const isExpired = recover !== null && failure instanceof StreamExpired;
      if (isExpired) cursor = undefined;
      await this.#options.sleep(pauses.after(failure, { wasCut, isPassing: isExpired || undefined }), signal);
    }
  }

  /** Events, and null for each other sign of life, of one try. `place.cursor` is where the next one goes on. */
  async *#told(path, place, signal, onOpen) {
    const key = this.#socket && Date.now() >= this.#streamsUntil ? subject(path) : undefined;
    if (key !== undefined && this.#socket.isFree(key)) {
      const opened = (cursor) => {
        place.cursor = cursor;
        onOpen();
      };
      try {
        for await (const event of this.#socket.events(key, place.cursor ?? null, { signal, onOpen: opened })) {
          if (event) place.cursor = event.id;
          yield event;
        }
      } catch (error) {
        if (!(error instanceof NotOpened)) throw error;
        // What is wrong, the stream is told.
        this.#streamsUntil = Date.now() + WITHOUT_SOCKET;
      }
    }
    yield* this.#streamed(path, place, signal, onOpen);
  }

  async *#streamed(path, place, signal, onOpen) {
    const parser = new EventParser(place.cursor);
    const limit = new Limit(SILENCE, signal);
    try {
      const body = await this.#open(path, place.cursor ?? null, limit.signal);
      onOpen();
      for await (const text of texts(body)) {
        limit.extend();
        const events = parser.push(text);
        if (parser.heartbeats) yield null;
        for (const event of events) {
          place.cursor = event.id;
          yield event;
        }
        place.cursor = parser.cursor;
      }
    } finally {
      // Also when the reader has left: the connection is closed.
      limit.abort();
    }
  }

  async #renewed(failure) {
    if (!(failure instanceof Unauthenticated) || typeof this.#source !== "function") return false;
    const used = this.#tokenOf.get(failure);
    // Another call whose token ended too may have asked for the next one.
    if (this.#token === used) this.#token = await this.#source();
    return this.#token !== used;
  }

  async #fetch(method, path, { query = {}, headers = {}, body, form, signal }) {
    if (this.#token === undefined) {
      this.#token = typeof this.#source === "function" ? await this.#source() : this.#source;
    }
    const url = new URL(this.#base + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) url.searchParams.set(name, value);
    }
    const request = { method, signal, cache: "no-store", headers: { Accept: "application/json", ...headers } };
    const token = this.#token;
    if (token) request.headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) {
      request.body = JSON.stringify(body);
      request.headers["Content-Type"] = "application/json";
    }
    // The boundary of a form is named with its body.
    if (form !== undefined) request.body = form();
    const response = await (this.#options.fetch ?? fetch)(url, request);
    if (response.ok) return response;
    const refused = refusal(response.status, response.headers, await response.text());
    this.#tokenOf.set(refused, token);
    throw refused;
  }
}

async function json(response) {
  return parsed(await response.text());
}

/** The body as text, in the pieces that come. */
async function* texts(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    // Leaving early gives the connection back; a body that has failed has nothing to cancel.
    reader.cancel().catch(() => {});
  }
}

/** What an error of fetch or of reading means. The caller's own abort stays what it is. */
function meaning(error, signal) {
  if (error instanceof ClientError) return error;
  if (signal?.aborted) throw signal.reason;
  // A failed fetch is a TypeError, a time limit an AbortError; whatever else is a mistake of ours.
  if (error instanceof TypeError || error?.name === "AbortError") {
    return new NoAnswer(error.cause?.message || error.message || "no answer", { cause: error });
  }
  throw error;
}

/** A signal that aborts with the caller's, or when time is up. (`AbortSignal.any` is not in Node 18.) */
class Limit {
  #controller = new AbortController();
  #seconds;
  #timer;
  #outer;
  #abort = () => this.abort();

  constructor(seconds, outer) {
    this.#seconds = seconds;
    this.#outer = outer;
    if (outer?.aborted) this.abort();
    outer?.addEventListener("abort", this.#abort);
    this.extend();
  }

  get signal() {
    return this.#controller.signal;
  }

  extend() {
    clearTimeout(this.#timer);
    if (!this.signal.aborted) this.#timer = setTimeout(this.#abort, this.#seconds * 1000);
  }

  end() {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
  }

  abort() {
    this.#controller.abort();
    this.end();
  }
}
