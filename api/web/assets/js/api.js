// The public HTTP API, one method a call, over the client's transport. Every failure is a Problem; an abort by the caller
// stays an AbortError.

import { RETRIES } from "../client/retries.js";
import { Transport } from "../client/transport.js";
import { Problem } from "./problem.js";

const TIMEOUT_S = 30;
const UPLOAD_TIMEOUT_S = 600;
const PREFIX = "/v1/";
const BASE = new URL(".", document.baseURI).href;
/** Once: a person sees what did not work, and when it is tried again. */
const OPTIONS = { retries: { ...RETRIES, tries: 1 }, timeout: TIMEOUT_S, random: Math.random };
const blob = (response) => response.blob();
const nothing = async () => undefined;

export class Api {
  #onUnauthenticated;
  #transport = new Transport(BASE, undefined, OPTIONS);

  /** The browser adds the session's cookie to each request. `onUnauthenticated` learns of each 401. */
  constructor(onUnauthenticated = () => {}) {
    this.#onUnauthenticated = onUnauthenticated;
  }

  /** Who is signed in; 401 when nobody is. */
  session() {
    return this.call("GET", "session");
  }

  /** How people sign in here: `{ code, openid: { title, path } | null, name }`. */
  signInMethods() {
    return this.call("GET", "session/methods");
  }

  /** With `{ code, account_id }`, `{ token }` or `{ name }`; from then on the browser has a session. */
  signIn(given) {
    return this.call("POST", "session", { body: given });
  }

  /** Resolves to where the browser signs out of the identity provider that it signed in with, or null. */
  signOut() {
    return this.call("DELETE", "session", { read: async (response) => response.headers.get("Location") });
  }

  personas(signal) {
    return this.call("GET", "personas", { signal });
  }

  listRooms({ limit, cursor }, signal) {
    return this.call("GET", "rooms", { query: { limit, cursor }, signal });
  }

  /** With an `externalId` that a room has already, that room. */
  createRoom({ title, persona, externalId }) {
    const body = { title: title || undefined, ai_persona: persona || undefined, external_id: externalId };
    return this.call("POST", "rooms", { body });
  }

  getRoom(roomId, signal) {
    return this.call("GET", `rooms/${roomId}`, { signal });
  }

  renameRoom(roomId, title) {
    return this.call("PATCH", `rooms/${roomId}`, { body: { title } });
  }

  /** Who answers from the next turn on. */
  setPersona(roomId, persona) {
    return this.call("PATCH", `rooms/${roomId}`, { body: { ai_persona: persona } });
  }

  deleteRoom(roomId) {
    return this.call("DELETE", `rooms/${roomId}`);
  }

  listMessages(roomId, { limit, before, after }, signal) {
    return this.call("GET", `rooms/${roomId}/messages`, { query: { limit, before, after }, signal });
  }

  /** Safe to repeat with the same key: the same message comes back. `reply: "none"` asks nobody to answer. */
  sendMessage(roomId, { key, content, metadata, onBusy, reply, files = [] }, signal) {
    const parts = files.map(({ type, file_id }) => ({ type, file_id }));
    const said = parts.length ? { content: content.trim() ? content : undefined, parts } : { content };
    return this.call("POST", `rooms/${roomId}/messages`, {
      body: { ...said, metadata, on_busy: onBusy, reply },
      headers: { "Idempotency-Key": `"${key}"` },
      signal,
    });
  }

  uploadFile(file, name, signal) {
    const form = new FormData();
    form.append("file", file, name);
    return this.call("POST", "files", { form, signal, timeout: UPLOAD_TIMEOUT_S });
  }

  getFile(fileId, signal) {
    return this.call("GET", `files/${fileId}`, { signal, timeout: UPLOAD_TIMEOUT_S, read: blob });
  }

  deleteFile(fileId) {
    return this.call("DELETE", `files/${fileId}`, { read: nothing });
  }

  getMessage(roomId, messageId, signal) {
    return this.call("GET", `rooms/${roomId}/messages/${messageId}`, { signal });
  }

  editMessage(roomId, messageId, content) {
    return this.call("PATCH", `rooms/${roomId}/messages/${messageId}`, { body: { content } });
  }

  /** Safe to repeat: another attempt than this one is left alone. */
  stopReply(roomId, messageId, attempt) {
    return this.call("POST", `rooms/${roomId}/messages/${messageId}/stop`, { body: { attempt } });
  }

  /** With a persona's name, that one answers this time. */
  regenerate(roomId, messageId, persona) {
    const body = persona ? { ai_persona: persona } : undefined;
    return this.call("POST", `rooms/${roomId}/messages/${messageId}/regenerate`, { body });
  }

  continueReply(roomId, messageId) {
    return this.call("POST", `rooms/${roomId}/messages/${messageId}/continue`);
  }

  listVariants(roomId, messageId, { limit, cursor }, signal) {
    return this.call("GET", `rooms/${roomId}/messages/${messageId}/variants`, { query: { limit, cursor }, signal });
  }

  deleteMessage(roomId, messageId) {
    return this.call("DELETE", `rooms/${roomId}/messages/${messageId}`);
  }

  /** `decision` is approve or deny, of the call with this digest. The same again is harmless. */
  decide(roomId, messageId, callId, { decision, digest, arguments: changed, reason }) {
    const path = `rooms/${roomId}/messages/${messageId}/tool-calls/${callId}/decision`;
    return this.call("POST", path, { body: { decision, digest, arguments: changed, reason: reason || undefined } });
  }

  /** The calls that wait for a decision, over all rooms. */
  listApprovals({ cursor }, signal) {
    return this.call("GET", "approvals", { query: { cursor }, signal });
  }

  /** The whole room as a file: `format` is jsonl or markdown. */
  exportRoom(roomId, format) {
    return this.call("GET", `rooms/${roomId}/export`, { query: { format }, timeout: UPLOAD_TIMEOUT_S, read: blob });
  }

  search({ q, limit, cursor }, signal) {
    return this.call("GET", "search", { query: { q, limit, cursor }, signal });
  }

  /** Opens an event stream after `cursor` (null: from its start or from now) and returns its body's byte stream. */
  async openEvents(path, cursor, signal) {
    try {
      return await this.#transport.open(PREFIX + path, { query: { after: cursor }, signal });
    } catch (error) {
      throw this.#problem(error);
    }
  }

  /** The answer of `/v1/{path}`. */
  async call(method, path, { timeout = TIMEOUT_S, form, ...rest } = {}) {
    try {
      const seconds = timeout - TIMEOUT_S;
      return await this.#transport.call(method, PREFIX + path, { ...rest, seconds, form: form && (() => form) });
    } catch (error) {
      throw this.#problem(error);
    }
  }

  #problem(error) {
    const problem = Problem.of(error);
    if (problem.status === 401) this.#onUnauthenticated(problem);
    return problem;
  }
}
