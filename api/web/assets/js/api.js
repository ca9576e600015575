// The public HTTP API, one method a call. Every failure is a Problem; an abort by the caller stays an AbortError.

import { Problem } from "./problem.js";

const TIMEOUT_MS = 30_000;
const UPLOAD_TIMEOUT_MS = 600_000;
const BASE = new URL("v1/", document.baseURI);

export class Api {
  #onUnauthenticated;

  /** The browser adds the session's cookie to each request. `onUnauthenticated` learns of each 401. */
  constructor(onUnauthenticated = () => {}) {
    this.#onUnauthenticated = onUnauthenticated;
  }

  /** Who is signed in; 401 when nobody is. */
  session() {
    return this.#json("GET", "session");
  }

  /** How people sign in here: `{ code, openid: { title, path } | null, name }`. */
  signInMethods() {
    return this.#json("GET", "session/methods");
  }

  /** With `{ code, account_id }`, `{ token }` or `{ name }`; from then on the browser has a session. */
  signIn(given) {
    return this.#json("POST", "session", { body: given });
  }

  /** Resolves to where the browser signs out of the identity provider that it signed in with, or null. */
  async signOut() {
    const answer = await this.#fetch("DELETE", "session", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return answer.headers.get("Location");
  }

  personas(signal) {
    return this.#json("GET", "personas", { signal });
  }

  listRooms({ limit, cursor }, signal) {
    return this.#json("GET", "rooms", { query: { limit, cursor }, signal });
  }

  createRoom({ title, persona }) {
    return this.#json("POST", "rooms", { body: { title: title || undefined, ai_persona: persona || undefined } });
  }

  getRoom(roomId, signal) {
    return this.#json("GET", `rooms/${roomId}`, { signal });
  }

  renameRoom(roomId, title) {
    return this.#json("PATCH", `rooms/${roomId}`, { body: { title } });
  }

  /** Who answers from the next turn on. */
  setPersona(roomId, persona) {
    return this.#json("PATCH", `rooms/${roomId}`, { body: { ai_persona: persona } });
  }

  deleteRoom(roomId) {
    return this.#json("DELETE", `rooms/${roomId}`);
  }

  listMessages(roomId, { limit, before, after }, signal) {
    return this.#json("GET", `rooms/${roomId}/messages`, { query: { limit, before, after }, signal });
  }

  /** Safe to repeat with the same key: the same message comes back. */
  sendMessage(roomId, { key, content, metadata, onBusy, files = [] }, signal) {
    const parts = files.map(({ type, file_id }) => ({ type, file_id }));
    const said = parts.length ? { content: content.trim() ? content : undefined, parts } : { content };
    return this.#json("POST", `rooms/${roomId}/messages`, {
      body: { ...said, metadata, on_busy: onBusy },
      headers: { "Idempotency-Key": `"${key}"` },
      signal,
    });
  }

  uploadFile(file, name, signal) {
    const form = new FormData();
    form.append("file", file, name);
    return this.#json("POST", "files", { form, signal, timeout: UPLOAD_TIMEOUT_MS });
  }

  async getFile(fileId, signal) {
    const response = await this.#fetch("GET", `files/${fileId}`, { signal });
    return response.blob();
  }

  deleteFile(fileId) {
    return this.#fetch("DELETE", `files/${fileId}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  }

  getMessage(roomId, messageId, signal) {
    return this.#json("GET", `rooms/${roomId}/messages/${messageId}`, { signal });
  }

  editMessage(roomId, messageId, content) {
    return this.#json("PATCH", `rooms/${roomId}/messages/${messageId}`, { body: { content } });
  }

  /** Safe to repeat: another attempt than this one is left alone. */
  stopReply(roomId, messageId, attempt) {
    return this.#json("POST", `rooms/${roomId}/messages/${messageId}/stop`, { body: { attempt } });
  }

  /** With a persona's name, that one answers this time. */
  regenerate(roomId, messageId, persona) {
    const body = persona ? { ai_persona: persona } : undefined;
    return this.#json("POST", `rooms/${roomId}/messages/${messageId}/regenerate`, { body });
  }

  continueReply(roomId, messageId) {
    return this.#json("POST", `rooms/${roomId}/messages/${messageId}/continue`);
  }

  listVariants(roomId, messageId, { limit, cursor }, signal) {
    return this.#json("GET", `rooms/${roomId}/messages/${messageId}/variants`, { query: { limit, cursor }, signal });
  }

  deleteMessage(roomId, messageId) {
    return this.#json("DELETE", `rooms/${roomId}/messages/${messageId}`);
  }

  /** The whole room as a file: `format` is jsonl or markdown. */
  async exportRoom(roomId, format) {
    const signal = AbortSignal.timeout(UPLOAD_TIMEOUT_MS);
    const response = await this.#fetch("GET", `rooms/${roomId}/export`, { query: { format }, signal });
    return response.blob();
  }

  search({ q, limit, cursor }, signal) {
    return this.#json("GET", "search", { query: { q, limit, cursor }, signal });
  }

  /** Opens an event stream after `cursor` (null: from its start or from now) and returns its body's byte stream. */
  async openEvents(path, cursor, signal) {
    const headers = { Accept: "text/event-stream" };
    const response = await this.#fetch("GET", path, { query: { after: cursor }, headers, signal });
    return response.body;
  }

  async #json(method, path, { signal, timeout = TIMEOUT_MS, ...rest } = {}) {
    const late = AbortSignal.timeout(timeout);
    const either = signal ? AbortSignal.any([signal, late]) : late;
    const response = await this.#fetch(method, path, { ...rest, signal: either });
    try {
      return await response.json();
    } catch (error) {
      throw failure(error);
    }
  }

  async #fetch(method, path, { query = {}, body, form, headers = {}, signal }) {
    const url = new URL(path, BASE);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) url.searchParams.set(name, value);
    }
    const request = { method, signal, headers: { ...headers } };
    request.cache = "no-store";
    if (body !== undefined) {
      request.body = JSON.stringify(body);
      request.headers["Content-Type"] = "application/json";
    }
    // The browser names the boundary of a form itself.
    if (form !== undefined) request.body = form;
    let response;
    try {
      response = await fetch(url, request);
      if (response.ok) return response;
    } catch (error) {
      throw failure(error);
    }
    const problem = await Problem.fromResponse(response);
    if (problem.status === 401) this.#onUnauthenticated(problem);
    throw problem;
  }
}

/** What a failed fetch or read means: the caller's own abort, our time limit, or the network. */
export function failure(error) {
  if (error instanceof Problem || error?.name === "AbortError") return error;
  if (error?.name === "TimeoutError") return Problem.timeout();
  return Problem.network(error);
}
