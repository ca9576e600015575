// What a signed-in person sees: the rooms, one of them open, and the dialogs about them.

import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { ask, confirm } from "./dialog.js";
import { Drawer } from "./drawer.js";
import { byId, element } from "./element.js";
import { icon } from "./icon.js";
import { announce, notify } from "./notice.js";
import { Outbox } from "./outbox.js";
import { Problem } from "./problem.js";
import { RoomList } from "./room_list.js";
import { RoomSearch } from "./room_search.js";

const ROUTE = /^#\/rooms\/([0-9a-f-]{36})$/;

export class Workspace {
  #api;
  #storage;
  #personas = [];
  #rooms;
  #search = null;
  #room = null;
  #conversation = null;
  /** The room that is being deleted from here: no notice says so. */
  #deleting = null;
  #outboxes = new Map();
  #composer = new Composer();
  #drawer = new Drawer();

  constructor() {
    byId("rename-room").append(icon("pencil"));
    byId("delete-room").append(icon("trash"));
    byId("new-room").addEventListener("click", () => this.#createRoom());
    byId("first-room").addEventListener("click", () => this.#createRoom());
    byId("rename-room").addEventListener("click", () => this.#renameRoom());
    byId("delete-room").addEventListener("click", () => this.#deleteRoom());
    window.addEventListener("hashchange", () => this.#api && this.#route());
    this.#composer.onSend = (text, onBusy, files) => this.#conversation.send(text, onBusy, files);
    this.#composer.attachments.upload = (file, name) => this.#api.uploadFile(file, name);
    this.#composer.attachments.discard = (fileId) => this.#api.deleteFile(fileId);
    this.#composer.attachments.onProblem = (problem) => notify(problem.whole);
    this.#composer.onStop = () => this.#conversation.stop();
  }

  /** Start for an account; ends when `close` is called. */
  async open(api, personas, storage) {
    this.#api = api;
    this.#storage = storage;
    this.#personas = personas;
    this.#rooms = new RoomList(api, {
      onChange: (room) => room.room_id === this.#room?.room_id && this.#showRoom(room),
      onDeleted: (roomId) => this.#onRoomGone(roomId),
      onProblem: (problem) => notify(problem.whole),
      personaTitle: (name) => this.#personaTitle(name),
    });
    this.#search = new RoomSearch(api, this.#rooms);
    byId("workspace").hidden = false;
    const following = this.#rooms.open();
    await Promise.all([following, this.#route()]);
  }

  close() {
    this.#leaveRoom();
    this.#search?.close();
    this.#rooms?.close();
    this.#api = null;
    this.#outboxes.clear();
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    byId("workspace").hidden = true;
  }

  async #route() {
    const roomId = ROUTE.exec(location.hash)?.[1] ?? null;
    this.#drawer.close();
    if (roomId === (this.#room?.room_id ?? null)) return;
    this.#leaveRoom();
    this.#rooms.select(roomId);
    if (roomId === null) return;
    const api = this.#api;
    try {
      const room = this.#rooms.get(roomId) ?? (await api.getRoom(roomId));
      // Another room may have been chosen, or the account left, while this one was looked up.
      if (this.#api === api && ROUTE.exec(location.hash)?.[1] === roomId && !this.#room) this.#enterRoom(room);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status !== 401) notify(error.whole);
      if (error.status === 404 && this.#api === api) location.hash = "";
    }
  }

  #enterRoom(room) {
    const { room_id: roomId } = room;
    if (!this.#outboxes.has(roomId)) this.#outboxes.set(roomId, new Outbox(this.#api, roomId, this.#storage));
    byId("welcome").hidden = true;
    byId("conversation").hidden = false;
    byId("room-actions").hidden = false;
    this.#showRoom(room);
    this.#conversation = new Conversation(this.#api, room, this.#outboxes.get(roomId), {
      author: (message) => this.#author(message),
      restore: (text, files) => this.#composer.restore(text, files),
      announce,
      onRunning: (running) => this.#composer.setRunning(running),
      onStatus: (status) => showConnection(status),
      onProblem: (problem, retry, signal) => notify(problem.whole, { retry, signal }),
      onGone: () => this.#onRoomGone(roomId),
    });
    this.#conversation.open();
    this.#composer.open(roomId, this.#storage);
    this.#composer.focus();
  }

  #leaveRoom() {
    this.#conversation?.close();
    this.#conversation = null;
    this.#room = null;
    byId("welcome").hidden = false;
    byId("conversation").hidden = true;
    byId("room-actions").hidden = true;
    byId("room-title").textContent = "Parlor";
    byId("room-persona").textContent = "";
    document.title = "Parlor";
    showConnection({ state: "live", problem: null });
  }

  #showRoom(room) {
    this.#room = room;
    byId("room-title").textContent = room.title || "Untitled";
    byId("room-persona").textContent = this.#answering(room.ai_persona);
    document.title = `${room.title || "Untitled"} · Parlor`;
    this.#conversation?.markPersisted(room.persisted_seq);
  }

  #onRoomGone(roomId) {
    this.#outboxes.delete(roomId);
    if (roomId !== this.#room?.room_id) return;
    this.#leaveRoom();
    location.hash = "";
    if (roomId !== this.#deleting) notify("This room was deleted.");
  }

  #personaTitle(name) {
    return this.#personas.find((persona) => persona.name === name)?.title ?? name;
  }

  /** Who answers: the persona, and the model behind it. */
  #answering(name) {
    const persona = this.#personas.find((found) => found.name === name);
    return persona ? withModel(persona.title || name, persona.model) : name;
  }

  #author(message) {
    if (message.sender_type === "USER") return "You";
    if (message.sender_type === "SYSTEM") return "System";
    return this.#personaTitle(message.ai_persona ?? this.#room.ai_persona);
  }

  async #createRoom() {
    const title = byId("create-title");
    title.value = "";
    byId("personas").replaceChildren(...this.#personas.map((persona, index) => personaChoice(persona, index === 0)));
    const room = await ask("create-dialog", () => {
      const persona = document.querySelector("#personas input:checked")?.value;
      return this.#api.createRoom({ title: title.value.trim(), persona });
    });
    if (!room) return;
    this.#rooms.set(room);
    location.hash = `#/rooms/${room.room_id}`;
  }

  #renameRoom() {
    const { room_id: roomId, title } = this.#room;
    const field = byId("rename-title");
    field.value = title ?? "";
    return ask("rename-dialog", async () => {
      this.#rooms.set(await this.#api.renameRoom(roomId, field.value.trim()));
    });
  }

  #deleteRoom() {
    const { room_id: roomId, title } = this.#room;
    const text = `“${title || "Untitled"}” and all of its messages are deleted for good.`;
    return confirm({ heading: "Delete this room?", text, button: "Delete" }, async () => {
      this.#deleting = roomId;
      await this.#api.deleteRoom(roomId);
      this.#rooms.remove(roomId);
    });
  }
}

/** A model that is named like its persona is told once. */
function withModel(text, model) {
  return model && model !== text ? [text, model].filter(Boolean).join(" · ") : text;
}

function personaChoice({ name, title, description, model }, checked) {
  return element(
    "label",
    { className: "persona" },
    element("input", { type: "radio", name: "persona", value: name, checked }),
    element("span", { className: "persona-title", dir: "auto", textContent: title || name }),
    element("span", { className: "persona-about faint", dir: "auto", textContent: withModel(description ?? "", model) }),
  );
}

function showConnection({ state, problem }) {
  const shown = byId("connection");
  shown.dataset.state = state;
  if (state === "connecting") return; // Too short to be worth a flicker: what was shown stays until it is decided.
  shown.hidden = state === "live";
  shown.textContent = state === "live" ? "" : "Reconnecting…";
  shown.title = problem?.sentence ?? "";
}
