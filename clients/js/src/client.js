// One account's access to one server. Calls are repeated while that may help, and do what they do once however often
// they are repeated; then they throw a `ClientError`. Names of fields are the API's. Each call takes a `signal`, and
// `retries` that are others for it than those of the client.

import { Reply } from "./reply.js";
import { ReplyDeleted } from "./errors.js";
import { RETRIES } from "./retries.js";
import { Transport } from "./transport.js";

/** Seconds that a file, or a whole room, may take beyond the time limit of a call. */
const TRANSFER = 600;

export class Client {
  #transport;

  constructor(baseUrl, token, { retries = {}, timeout = 60, socket = false, fetch, sleep = pause, random = Math.random } = {}) {
    const options = { retries: { ...RETRIES, ...retries }, timeout, socket, fetch, sleep, random };
    this.#transport = new Transport(baseUrl, token, options);
  }

  /** Any other call of the API: `body` is sent as JSON, and JSON comes back unless `read(response)` reads something else. */
  call(method, path, options) {
    return this.#transport.call(method, path, options);
  }

  /** The events of any path: see `roomEvents`. */
  events(path, { after, ...options } = {}) {
    return this.#transport.events(path, after, options);
  }

  async personas(options) {
    return (await this.call("GET", "/v1/personas", common(options))).personas;
  }

  /** A new room, or the one that has the `external_id` already. */
  createRoom({ title, ai_persona, external_id, idempotencyKey, ...options } = {}) {
    const body = { title, ai_persona, external_id };
    return this.call("POST", "/v1/rooms", { body, headers: keyed(idempotencyKey), ...common(options) });
  }

  listRooms({ limit = 20, cursor, external_id, ...options } = {}) {
    return this.call("GET", "/v1/rooms", { query: { limit, cursor, external_id }, ...common(options) });
  }

  /** All rooms, newest activity first. */
  rooms(options) {
    return this.#pages("/v1/rooms", "rooms", {}, options);
  }

  getRoom(roomId, options) {
    return this.call("GET", room(roomId), common(options));
  }

  updateRoom(roomId, { title, ai_persona, ...options } = {}) {
    return this.call("PATCH", room(roomId), { body: { title, ai_persona }, ...common(options) });
  }

  deleteRoom(roomId, options) {
    return this.call("DELETE", room(roomId), common(options));
  }

  /** Sends a message; it is stored once, however often it has to be sent. `wait`: seconds to wait for the reply's end. */
  send(roomId, content, { files = [], wait, persisted, idempotencyKey, signal, retries, ...fields } = {}) {
    const prefer = [...(wait ? [`wait=${wait}`] : []), ...(persisted ? ["durability=persisted"] : [])];
    const parts = files.map(({ file_id, media_type }) => ({
      type: media_type.startsWith("image/") ? "image" : "file",
      file_id,
    }));
    const body = { content: content ?? undefined, parts: parts.length ? parts : undefined, ...fields };
    const headers = { ...keyed(idempotencyKey), ...(prefer.length ? { Prefer: prefer.join(", ") } : {}) };
    const read = async (response) => ({
      ...(await response.json()),
      replayed: response.headers.get("idempotent-replayed") === "true",
    });
    return this.call("POST", `${room(roomId)}/messages`, { body, headers, signal, retries, read, seconds: wait ?? 0 });
  }

  /** Sends a message and returns its reply, to be iterated. */
  async ask(roomId, content, options = {}) {
    const { reply, cursor } = await this.send(roomId, content, options);
    if (reply === null) throw new ReplyDeleted("no reply is reserved");
    return this.reply(roomId, reply.message_id, { cursor, attempt: reply.attempt, asked: reply, signal: options.signal });
  }

  /** A reply that was asked for: from the cursor, or from its start. */
  reply(roomId, messageId, options = {}) {
    return new Reply(this.#transport, roomId, messageId, options);
  }

  listMessages(roomId, { limit = 50, before, after, ...options } = {}) {
    return this.call("GET", `${room(roomId)}/messages`, { query: { limit, before, after }, ...common(options) });
  }

  /** All messages, oldest first. */
  async *history(roomId, { after = 0, ...options } = {}) {
    for (;;) {
      const page = await this.listMessages(roomId, { ...options, limit: 200, after });
      yield* page.messages;
      if (!page.has_more || !page.messages.length) return;
      after = page.messages.at(-1).seq;
    }
  }

  getMessage(roomId, messageId, options) {
    return this.call("GET", message(roomId, messageId), common(options));
  }

  deleteMessage(roomId, messageId, options) {
    return this.call("DELETE", message(roomId, messageId), common(options));
  }

  /** New content for the last user message, or for one that waits; its reply begins anew. */
  edit(roomId, messageId, content, { idempotencyKey, ...options } = {}) {
    const headers = keyed(idempotencyKey);
    return this.call("PATCH", message(roomId, messageId), { body: { content }, headers, ...common(options) });
  }

  /** Ends a reply; its text stays. With its `attempt` the call is safe to repeat, and is repeated. */
  stop(roomId, messageId, { attempt, ...options } = {}) {
    const path = `${message(roomId, messageId)}/stop`;
    return this.call("POST", path, { body: { attempt }, repeatable: attempt !== undefined, ...common(options) });
  }

  /** Begins the next attempt of the room's last reply. */
  async regenerate(roomId, messageId, { ai_persona, idempotencyKey, ...options } = {}) {
    const path = `${message(roomId, messageId)}/regenerate`;
    const headers = keyed(idempotencyKey);
    const asked = await this.call("POST", path, { body: { ai_persona }, headers, ...common(options) });
    return this.reply(roomId, messageId, { attempt: asked.attempt, asked, signal: options.signal });
  }

  /** Lets the room's last reply go on behind the text that it has; that text comes first. */
  async continueReply(roomId, messageId, { idempotencyKey, ...options } = {}) {
    const path = `${message(roomId, messageId)}/continue`;
    const asked = await this.call("POST", path, { body: {}, headers: keyed(idempotencyKey), ...common(options) });
    return this.reply(roomId, messageId, { attempt: asked.attempt, asked, signal: options.signal });
  }

  /** All versions of a message, oldest first. */
  variants(roomId, messageId, options) {
    return this.#pages(`${message(roomId, messageId)}/variants`, "variants", {}, options);
  }

  /** The user messages that wait for their turn. */
  queue(roomId, options) {
    return this.#pages(`${room(roomId)}/queue`, "messages", {}, options);
  }

  /** The calls of tools that wait for a decision, in all rooms; those of older replies first. */
  approvals(options) {
    return this.#pages("/v1/approvals", "approvals", {}, options);
  }

  async toolCalls(roomId, messageId, options) {
    return (await this.call("GET", `${message(roomId, messageId)}/tool-calls`, common(options))).tool_calls;
  }

  /** Has the call made, as `call` shows it; with other `arguments` if it is `editable`. */
  approve(roomId, messageId, call, { arguments: changed, ...options } = {}) {
    const body = { decision: "approve", digest: call.digest, arguments: changed };
    return this.call("POST", `${toolCall(roomId, messageId, call)}/decision`, { body, ...common(options) });
  }

  /** The model is told that the call was not made, and why. */
  deny(roomId, messageId, call, { reason, ...options } = {}) {
    const body = { decision: "deny", digest: call.digest, reason };
    return this.call("POST", `${toolCall(roomId, messageId, call)}/decision`, { body, ...common(options) });
  }

  /** What came of a call that you executed: one with `client`. */
  postResult(roomId, messageId, call, content, { is_error = false, ...options } = {}) {
    const body = { content, digest: call.digest, is_error };
    return this.call("POST", `${toolCall(roomId, messageId, call)}/result`, { body, ...common(options) });
  }

  /** Messages that have every word of the text, newest first. */
  search(q, { room_id, limit = 20, ...options } = {}) {
    return this.#pages("/v1/search", "results", { q, room_id, limit }, options);
  }

  /** The whole room as one text. */
  export(roomId, { format = "markdown", ...options } = {}) {
    const read = (response) => response.text();
    return this.call("GET", `${room(roomId)}/export`, { query: { format }, read, seconds: TRANSFER, ...common(options) });
  }

  /** `content`: a Blob, or what a Blob is made of. Equal bytes under the same name are the file that is there. */
  upload(name, content, options) {
    const blob = content instanceof Blob ? content : new Blob([content]);
    const form = () => {
      const made = new FormData();
      made.append("file", blob, name);
      return made;
    };
    return this.call("POST", "/v1/files", { form, seconds: TRANSFER, ...common(options) });
  }

  files(options) {
    return this.#pages("/v1/files", "files", {}, options);
  }

  download(fileId, options) {
    return this.call("GET", file(fileId), { read: (response) => response.blob(), seconds: TRANSFER, ...common(options) });
  }

  deleteFile(fileId, options) {
    return this.call("DELETE", file(fileId), { read: async () => undefined, goneIsDone: true, ...common(options) });
  }

  /**
   * The events of a room after a cursor, or from now on, without end; through cuts, none is missing, none comes twice.
   * `after` may be a function that reads the room and resolves to the cursor: it is asked again when the server has no
   * events from so long ago. `onConnect()` and `onOpen()` hear of each try, and of each one that has succeeded.
   */
  roomEvents(roomId, options) {
    return this.events(`${room(roomId)}/events`, options);
  }

  accountEvents(options) {
    return this.events("/v1/events", options);
  }

  /** The events of one reply, from its start or after a cursor. */
  replyEvents(roomId, messageId, options) {
    return this.events(`${message(roomId, messageId)}/events`, options);
  }

  async *#pages(path, name, query, options) {
    let cursor;
    do {
      const page = await this.call("GET", path, { query: { limit: 100, ...query, cursor }, ...common(options) });
      yield* page[name];
      cursor = page.next_cursor;
    } while (cursor);
  }
}

/** What every call takes. */
const common = ({ signal, retries } = {}) => ({ signal, retries });
const room = (roomId) => `/v1/rooms/${encodeURIComponent(roomId)}`;
const message = (roomId, messageId) => `${room(roomId)}/messages/${encodeURIComponent(messageId)}`;
const toolCall = (roomId, messageId, call) => `${message(roomId, messageId)}/tool-calls/${encodeURIComponent(call.tool_call_id)}`;
const file = (fileId) => `/v1/files/${encodeURIComponent(fileId)}`;

/** A new `idempotencyKey`. (`crypto.randomUUID` exists on https and localhost only.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function keyed(given) {
  const key = given ?? newKey();
  return { "Idempotency-Key": `"${key.replace(/["\\]/g, "\\$&")}"` };
}

/** Seconds; ends early with the signal's reason. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
