// One account's access to one server. Calls are repeated while that may help, and do what they do once however often
// they are repeated; then they throw a `ClientError`. Names of fields are the API's.

import { Reply } from "./reply.js";
import { ReplyDeleted } from "./errors.js";
import { RETRIES } from "./retries.js";
import { Transport } from "./transport.js";

export class Client {
  #transport;

  constructor(baseUrl, token, { retries = {}, timeout = 60, fetch, sleep = pause, random = Math.random } = {}) {
    this.#transport = new Transport(baseUrl, token, { retries: { ...RETRIES, ...retries }, timeout, fetch, sleep, random });
  }

  async personas({ signal } = {}) {
    return (await this.#transport.call("GET", "/v1/personas", { signal })).personas;
  }

  /** A new room, or the one that has the `external_id` already. */
  createRoom({ title, ai_persona, external_id, idempotencyKey, signal } = {}) {
    const body = { title, ai_persona, external_id };
    return this.#transport.call("POST", "/v1/rooms", { body, headers: keyed(idempotencyKey), signal });
  }

  listRooms({ limit = 20, cursor, external_id, signal } = {}) {
    return this.#transport.call("GET", "/v1/rooms", { query: { limit, cursor, external_id }, signal });
  }

  /** All rooms, newest activity first. */
  rooms(options = {}) {
    return pages((cursor) => this.listRooms({ ...options, limit: 100, cursor }), "rooms");
  }

  getRoom(roomId, { signal } = {}) {
    return this.#transport.call("GET", room(roomId), { signal });
  }

  updateRoom(roomId, { title, ai_persona, signal } = {}) {
    return this.#transport.call("PATCH", room(roomId), { body: { title, ai_persona }, signal });
  }

  deleteRoom(roomId, { signal } = {}) {
    return this.#transport.call("DELETE", room(roomId), { signal });
  }

  /** Sends a message; it is stored once, however often it has to be sent. `wait`: seconds to wait for the reply's end. */
  send(roomId, content, { files = [], wait, persisted, idempotencyKey, signal, ...fields } = {}) {
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
    return this.#transport.call("POST", `${room(roomId)}/messages`, { body, headers, signal, read, seconds: wait ?? 0 });
  }

  /** Sends a message and returns its reply, to be iterated. */
  async ask(roomId, content, options = {}) {
    const { reply, cursor } = await this.send(roomId, content, options);
    if (reply === null) throw new ReplyDeleted("no reply is reserved");
    return this.reply(roomId, reply.message_id, { cursor, attempt: reply.attempt, signal: options.signal });
  }

  /** A reply that was asked for: from the cursor, or from its start. */
  reply(roomId, messageId, options = {}) {
    return new Reply(this.#transport, roomId, messageId, options);
  }

  listMessages(roomId, { limit = 50, before, after, signal } = {}) {
    return this.#transport.call("GET", `${room(roomId)}/messages`, { query: { limit, before, after }, signal });
  }

  /** All messages, oldest first. */
  async *history(roomId, { after = 0, signal } = {}) {
    for (;;) {
      const page = await this.listMessages(roomId, { limit: 200, after, signal });
      yield* page.messages;
      if (!page.has_more || !page.messages.length) return;
      after = page.messages.at(-1).seq;
    }
  }

  getMessage(roomId, messageId, { signal } = {}) {
    return this.#transport.call("GET", message(roomId, messageId), { signal });
  }

  deleteMessage(roomId, messageId, { signal } = {}) {
    return this.#transport.call("DELETE", message(roomId, messageId), { signal });
  }

  /** New content for the last user message, or for one that waits; its reply begins anew. */
  edit(roomId, messageId, content, { idempotencyKey, signal } = {}) {
    const headers = keyed(idempotencyKey);
    return this.#transport.call("PATCH", message(roomId, messageId), { body: { content }, headers, signal });
  }

  /** Ends a reply; its text stays. With its `attempt` the call is safe to repeat, and is repeated. */
  stop(roomId, messageId, { attempt, signal } = {}) {
    const path = `${message(roomId, messageId)}/stop`;
    return this.#transport.call("POST", path, { body: { attempt }, repeatable: attempt !== undefined, signal });
  }

  /** Begins the next attempt of the room's last reply. */
  async regenerate(roomId, messageId, { ai_persona, idempotencyKey, signal } = {}) {
    const path = `${message(roomId, messageId)}/regenerate`;
    const headers = keyed(idempotencyKey);
    const { attempt } = await this.#transport.call("POST", path, { body: { ai_persona }, headers, signal });
    return this.reply(roomId, messageId, { attempt, signal });
  }

  /** Lets the room's last reply go on behind the text that it has; that text comes first. */
  async continueReply(roomId, messageId, { idempotencyKey, signal } = {}) {
    const path = `${message(roomId, messageId)}/continue`;
    const { attempt } = await this.#transport.call("POST", path, { body: {}, headers: keyed(idempotencyKey), signal });
    return this.reply(roomId, messageId, { attempt, signal });
  }

  /** All versions of a message, oldest first. */
  variants(roomId, messageId, { signal } = {}) {
    const path = `${message(roomId, messageId)}/variants`;
    return pages((cursor) => this.#transport.call("GET", path, { query: { limit: 100, cursor }, signal }), "variants");
  }

  /** The user messages that wait for their turn. */
  queue(roomId, { signal } = {}) {
    const path = `${room(roomId)}/queue`;
    return pages((cursor) => this.#transport.call("GET", path, { query: { limit: 100, cursor }, signal }), "messages");
  }

  /** The calls of tools that wait for a decision, in all rooms; those of older replies first. */
  approvals({ signal } = {}) {
    const query = { limit: 100 };
    return pages((cursor) => this.#transport.call("GET", "/v1/approvals", { query: { ...query, cursor }, signal }), "approvals");
  }

  async toolCalls(roomId, messageId, { signal } = {}) {
    return (await this.#transport.call("GET", `${message(roomId, messageId)}/tool-calls`, { signal })).tool_calls;
  }

  /** Has the call made, as `call` shows it; with other `arguments` if it is `editable`. */
  approve(roomId, messageId, call, { arguments: changed, signal } = {}) {
    const body = { decision: "approve", digest: call.digest, arguments: changed };
    return this.#transport.call("POST", `${toolCall(roomId, messageId, call)}/decision`, { body, signal });
  }

  /** The model is told that the call was not made, and why. */
  deny(roomId, messageId, call, { reason, signal } = {}) {
    const body = { decision: "deny", digest: call.digest, reason };
    return this.#transport.call("POST", `${toolCall(roomId, messageId, call)}/decision`, { body, signal });
  }

  /** What came of a call that you executed: one with `client`. */
  postResult(roomId, messageId, call, content, { is_error = false, signal } = {}) {
    const body = { content, digest: call.digest, is_error };
    return this.#transport.call("POST", `${toolCall(roomId, messageId, call)}/result`, { body, signal });
  }

  /** Messages that have every word of the text, newest first. */
  search(q, { room_id, limit = 20, signal } = {}) {
    const query = { q, room_id, limit };
    return pages((cursor) => this.#transport.call("GET", "/v1/search", { query: { ...query, cursor }, signal }), "results");
  }

  /** The whole room as one text. */
  export(roomId, { format = "markdown", signal } = {}) {
    const read = (response) => response.text();
    return this.#transport.call("GET", `${room(roomId)}/export`, { query: { format }, read, signal });
  }

  /** `content`: a Blob, or what a Blob is made of. Equal bytes under the same name are the file that is there. */
  upload(name, content, { signal } = {}) {
    const blob = content instanceof Blob ? content : new Blob([content]);
    const form = () => {
      const made = new FormData();
      made.append("file", blob, name);
      return made;
    };
    return this.#transport.call("POST", "/v1/files", { form, signal });
  }

  files({ signal } = {}) {
    return pages((cursor) => this.#transport.call("GET", "/v1/files", { query: { limit: 100, cursor }, signal }), "files");
  }

  download(fileId, { signal } = {}) {
    return this.#transport.call("GET", file(fileId), { read: (response) => response.blob(), signal });
  }

  deleteFile(fileId, { signal } = {}) {
    return this.#transport.call("DELETE", file(fileId), { read: async () => undefined, goneIsDone: true, signal });
  }

  /** The events of a room after a cursor, or from now on, without end; through cuts, none is missing, none comes twice. */
  roomEvents(roomId, { after, signal } = {}) {
    return this.#transport.events(`${room(roomId)}/events`, after, signal);
  }

  accountEvents({ after, signal } = {}) {
    return this.#transport.events("/v1/events", after, signal);
  }
}

const room = (roomId) => `/v1/rooms/${encodeURIComponent(roomId)}`;
const message = (roomId, messageId) => `${room(roomId)}/messages/${encodeURIComponent(messageId)}`;
const toolCall = (roomId, messageId, call) => `${message(roomId, messageId)}/tool-calls/${encodeURIComponent(call.tool_call_id)}`;
const file = (fileId) => `/v1/files/${encodeURIComponent(fileId)}`;

function keyed(given) {
  const key = given ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { "Idempotency-Key": `"${key.replace(/["\\]/g, "\\$&")}"` };
}

async function* pages(next, name) {
  let cursor;
  do {
    const page = await next(cursor);
    yield* page[name];
    cursor = page.next_cursor;
  } while (cursor !== null);
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
