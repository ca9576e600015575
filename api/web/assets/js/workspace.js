// What a signed-in person sees: the rooms, one of them open, and the dialogs about them.

import { ApprovalList } from "./approval_list.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { ask, confirm } from "./dialog.js";
import { Drawer } from "./drawer.js";
import { byId, element } from "./element.js";
import { save } from "./files_view.js";
import { FirstMessage } from "./first_message.js";
import { foreignAuthor, isForeignAnswer } from "./foreign_answer.js";
import { icon } from "./icon.js";
import { choosePersona, openMenu } from "./menu.js";
import { announce, notify } from "./notice.js";
import { Outbox } from "./outbox.js";
import { Palette } from "./palette.js";
import { Problem } from "./problem.js";
import { RoomList } from "./room_list.js";
import { RoomSearch } from "./room_search.js";
import { openSettings } from "./settings.js";
import { t } from "./words.js";

/** A room, and perhaps one of its messages by its seq. */
const ROUTE = /^#\/rooms\/([0-9a-f-]{36})(?:\/(\d{1,15}))?$/;
/** Characters. */
const TITLE_MAX = 200;

export class Workspace {
  #api;
  #storage;
  #personas = [];
  #rooms;
  #search = null;
  #approvals = null;
  #room = null;
  #conversation = null;
  /** The room that is being deleted from here: no notice says so. */
  #deleting = null;
  #outboxes = new Map();
  #composer = new Composer();
  #drawer = new Drawer();
  #first;

  constructor() {
    byId("rename-room").append(icon("pencil"));
    byId("delete-room").append(icon("trash"));
    byId("new-room").addEventListener("click", () => this.#createRoom());
    this.#first = new FirstMessage((text) => this.#begin(text));
    byId("room-persona").addEventListener("click", () => this.#changePersona());
    byId("settings").append(icon("gear"));
    byId("settings").addEventListener("click", () => openSettings());
    byId("import").addEventListener("click", () => (byId("settings-dialog").close(), this.#import()));
    new Palette(() => (this.#api ? this.#entries() : []));
    for (const kind of ["online", "offline"]) window.addEventListener(kind, () => this.#onNetwork());
    byId("rename-room").addEventListener("click", () => this.#renameRoom());
    byId("delete-room").addEventListener("click", () => this.#deleteRoom());
    window.addEventListener("hashchange", () => this.#api && this.#route());
    this.#composer.onSend = (text, onBusy, files) => this.#conversation.send(text, onBusy, files);
    this.#composer.attachments.upload = (file, name) => this.#api.upload(name, file);
    this.#composer.attachments.discard = (fileId) => this.#api.deleteFile(fileId);
    this.#composer.attachments.onProblem = (problem) => notify(problem.whole);
    this.#composer.onStop = () => this.#conversation.stop();
    this.#composer.onEditLast = () => this.#conversation.editLast();
  }

  /** Start for an account; ends when `close` is called. */
  async open(api, personas, storage) {
    this.#api = api;
    this.#storage = storage;
    this.#personas = personas;
    this.#approvals = new ApprovalList(api, {
      titleOf: (roomId) => this.#rooms.get(roomId)?.title || t("untitled"),
      onChange: (roomIds) => this.#rooms.setUndecided(roomIds),
      onGoTo: (roomId, messageId) => this.#attempt(() => this.#goToDecision(roomId, messageId)),
      onProblem: (problem) => notify(problem.whole),
    });
    this.#rooms = new RoomList(api, {
      onRecovered: (signal) => this.#approvals.load(signal),
      onEvent: (event) => this.#approvals.apply(event),
      onChange: (room) => room.room_id === this.#room?.room_id && this.#showRoom(room),
      onDeleted: (roomId) => this.#onRoomGone(roomId),
      onProblem: (problem) => notify(problem.whole),
      personaTitle: (name) => this.#personaTitle(name),
      onMenu: (room, button) => openMenu(button, this.#roomActions(room), button.getAttribute("aria-label")),
    });
    this.#search = new RoomSearch(api, this.#rooms);
    byId("workspace").hidden = false;
    this.#first.open(personas, storage);
    const following = this.#rooms.open();
    await Promise.all([following, this.#route()]);
  }

  close() {
    this.#leaveRoom();
    this.#search?.close();
    this.#approvals?.close();
    this.#rooms?.close();
    this.#api = null;
    this.#outboxes.clear();
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    byId("workspace").hidden = true;
  }

  async #route() {
    const roomId = ROUTE.exec(location.hash)?.[1] ?? null;
    this.#drawer.close();
    if (roomId === (this.#room?.room_id ?? null)) return this.#goToMessage();
    this.#leaveRoom();
    this.#rooms.select(roomId);
    if (roomId === null) return undefined;
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
    return undefined;
  }

  /** The address may name a message of the open room. */
  #goToMessage() {
    const seq = ROUTE.exec(location.hash)?.[2];
    return seq && this.#conversation?.goTo(Number(seq));
  }

  async #goToDecision(roomId, messageId) {
    const { seq } = await this.#api.getMessage(roomId, messageId);
    const there = `#/rooms/${roomId}/${seq}`;
    if (location.hash === there) return this.#goToMessage();
    location.hash = there;
    return undefined;
  }

  #outbox(roomId) {
    if (!this.#outboxes.has(roomId)) this.#outboxes.set(roomId, new Outbox(this.#api, roomId, this.#storage));
    return this.#outboxes.get(roomId);
  }

  #enterRoom(room) {
    const { room_id: roomId } = room;
    byId("welcome").hidden = true;
    byId("conversation").hidden = false;
    byId("room-actions").hidden = false;
    this.#showRoom(room);
    this.#conversation = new Conversation(this.#api, room, this.#outbox(roomId), {
      author: (message) => this.#author(message),
      personas: () => this.#personas,
      restore: (text, files) => this.#composer.restore(text, files),
      announce,
      onRunning: (running) => this.#composer.setRunning(running),
      onStatus: (status) => showConnection(status),
      onProblem: (problem, retry, signal) => notify(problem.whole, { retry, signal }),
      onBranch: (message, text, signal) => this.#branch(room, message, text, signal),
      onGone: () => this.#onRoomGone(roomId),
    });
    this.#conversation.open(() => this.#goToMessage());
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
    byId("room-persona").hidden = true;
    document.title = "Parlor";
    showConnection({ state: "live", problem: null });
  }

  #showRoom(room) {
    this.#room = room;
    byId("room-title").textContent = room.title || t("untitled");
    const answering = this.#answering(room.ai_persona);
    byId("room-persona").hidden = false;
    byId("room-persona").textContent = answering;
    byId("room-persona").setAttribute("aria-label", t("room.persona", { persona: answering }));
    document.title = `${room.title || t("untitled")} · Parlor`;
    this.#conversation?.markPersisted(room.persisted_seq);
  }

  #onRoomGone(roomId) {
    this.#outboxes.delete(roomId);
    if (roomId !== this.#room?.room_id) return;
    this.#leaveRoom();
    location.hash = "";
    if (roomId !== this.#deleting) notify(t("room.deleted"));
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
    if (isForeignAnswer(message)) return foreignAuthor(message);
    if (message.sender_type === "USER") return t("messages.you");
    if (message.sender_type === "SYSTEM") return t("messages.system");
    return this.#personaTitle(message.ai_persona ?? this.#room.ai_persona);
  }

  async #createRoom() {
    const title = byId("create-title");
    title.value = "";
    byId("personas").replaceChildren(...this.#personas.map((persona, index) => personaChoice(persona, index === 0)));
    const room = await ask("create-dialog", () => {
      const persona = document.querySelector("#personas input:checked")?.value;
      return this.#api.createRoom({ title: title.value.trim() || undefined, ai_persona: persona });
    });
    if (!room) return;
    this.#rooms.set(room);
    location.hash = `#/rooms/${room.room_id}`;
  }

  /** The first message makes its room. */
  async #begin({ text, persona }) {
    const room = await this.#api.createRoom({ ai_persona: persona });
    this.#rooms.set(room);
    this.#outbox(room.room_id).send(text, "enqueue");
    location.hash = `#/rooms/${room.room_id}`;
  }

  /** Go on in a new room: behind the message, or with another text in its place. */
  async #branch({ room_id: roomId, title, ai_persona: persona }, { seq, parts }, text, signal) {
    notify(t("branch.copying"));
    const { branchOff, filesOf } = await import("./branches.js");
    const name = t("branch.title", { title: title || t("untitled") });
    const make = () => this.#api.createRoom({ title: [...name].slice(0, TITLE_MAX).join(""), ai_persona: persona });
    const author = (message) => this.#author(message);
    const room = await branchOff(this.#api, roomId, text === null ? seq + 1 : seq, { author, make, signal });
    this.#rooms.set(room);
    if (text !== null) this.#outbox(room.room_id).send(text, "enqueue", filesOf(parts));
    location.hash = `#/rooms/${room.room_id}`;
  }

  async #import() {
    const { ImportDialog } = await import("./import_dialog.js");
    new ImportDialog(this.#api, () => this.#personas[0]?.name).open();
  }

  #changePersona() {
    const { room_id: roomId, ai_persona: current } = this.#room;
    choosePersona(byId("room-persona"), this.#personas, current, (name) =>
      this.#attempt(async () => this.#rooms.set(await this.#api.updateRoom(roomId, { ai_persona: name }))),
    );
  }

  #roomActions(room) {
    const kept = { markdown: "md", jsonl: "jsonl" };
    const saveAs = (format) => async () => {
      const text = await this.#api.export(room.room_id, { format });
      save(new Blob([text]), `${room.title || t("untitled")}.${kept[format]}`);
    };
    return [
      { label: t("room.rename"), run: () => this.#renameRoom(room) },
      ...(room.room_id === this.#room?.room_id ? [{ label: t("room.day"), run: () => this.#goToDay() }] : []),
      { label: t("room.export.markdown"), run: () => this.#attempt(saveAs("markdown")) },
      { label: t("room.export.json"), run: () => this.#attempt(saveAs("jsonl")) },
      { label: t("room.delete"), run: () => this.#deleteRoom(room) },
    ];
  }

  #goToDay() {
    return ask("day-dialog", async () => {
      const [year, month, day] = byId("day-field").value.split("-").map(Number);
      await this.#conversation.goToDay(new Date(year, month - 1, day).getTime());
      return true;
    });
  }

  /** What the palette offers. */
  #entries() {
    const rooms = this.#rooms.titled("").map((room) => ({
      label: room.title || t("untitled"),
      run: () => (location.hash = `#/rooms/${room.room_id}`),
    }));
    const here = this.#room ? this.#roomActions(this.#room) : [];
    const persona = this.#room && this.#personas.length > 1;
    return [
      { label: t("rooms.new"), run: () => this.#createRoom() },
      { label: t("search.label"), run: () => (this.#drawer.open(), byId("search-field").focus()) },
      ...(this.#approvals.isEmpty ? [] : [{ label: t("approvals"), run: () => (this.#drawer.open(), this.#approvals.choose(byId("approvals"))) }]),
      ...here,
      ...(persona ? [{ label: t("create.persona"), run: () => this.#changePersona() }] : []),
      { label: t("import"), run: () => this.#import() },
      { label: t("settings"), run: () => openSettings() },
      { label: t("sign-out"), run: () => byId("sign-out").click() },
      ...rooms,
    ];
  }

  #onNetwork() {
    showConnection({ state: navigator.onLine ? "live" : "offline", problem: null });
    if (navigator.onLine) for (const outbox of this.#outboxes.values()) outbox.resume();
  }

  /** Something that was asked for: what goes wrong is told. */
  async #attempt(task) {
    try {
      await task();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status !== 401) notify(error.whole);
    }
  }

  #renameRoom({ room_id: roomId, title } = this.#room) {
    const field = byId("rename-title");
    field.value = title ?? "";
    return ask("rename-dialog", async () => {
      this.#rooms.set(await this.#api.updateRoom(roomId, { title: field.value.trim() }));
    });
  }

  #deleteRoom({ room_id: roomId, title } = this.#room) {
    const text = t("room.delete.text", { title: title || t("untitled") });
    return confirm({ heading: t("room.delete.heading"), text, button: t("delete") }, async () => {
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
  const away = state === "offline" || !navigator.onLine;
  shown.textContent = state === "live" ? "" : t(away ? "connection.offline" : "connection.waiting");
  shown.title = problem?.sentence ?? "";
}
