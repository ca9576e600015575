import assert from "node:assert/strict";
import test from "node:test";

import { NoAnswer, NotFound } from "../src/errors.js";
import { EventSocket, NotOpened, subject } from "../src/socket.js";

class FakeSocket {
  static OPEN = 1;
  static made = [];
  readyState = 0;
  sent = [];

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    FakeSocket.made.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  close(reason = "") {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose({ reason });
  }
}

/** Lets everything that can happen happen. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A socket, and the first event of a room that it was asked for, after what the server agreed to. */
async function subscribed(t) {
  globalThis.WebSocket = FakeSocket;
  FakeSocket.made = [];
  const events = new EventSocket("http://parlor.test");
  const opened = [];
  const room = events.events("r1", "1-0", { onOpen: (cursor) => opened.push(cursor) });
  const first = room.next();
  await settled();
  const [socket] = FakeSocket.made;
  t.after(() => socket.close());
  socket.open();
  await settled();
  return { events, room, first, socket, opened };
}

test("what can be subscribed to is told by its path", () => {
  assert.equal(subject("/v1/events"), "");
  assert.equal(subject("/v1/rooms/01A2/events"), "01a2");
  assert.equal(subject("/v1/rooms/r/messages/m/events"), undefined);
});

test("rooms and the account share one connection, and each gets its own events", async (t) => {
  const { events, room, first, socket, opened } = await subscribed(t);
  assert.equal(socket.url, "ws://parlor.test/v1/socket");
  assert.deepEqual(socket.sent, [{ op: "subscribe", ref: 1, room_id: "r1", after: "1-0" }]);
  socket.say({ ref: 1, status: 200, body: { cursor: "1-0" } });
  await settled();
  assert.deepEqual(opened, ["1-0"]);
  assert.equal((await first).value, null, "the answer is a sign of life");
  assert.ok(!events.isFree("r1"));

  const account = events.events("", null, { onOpen: () => {} });
  const theirs = account.next();
  await settled();
  assert.deepEqual(socket.sent[1], { op: "subscribe", ref: 2, account: true });
  socket.say({ ref: 2, status: 200, body: { cursor: "5-0" } });
  socket.say({ room_id: "r1", id: "1-1", event: "message.created", data: { seq: 1 } });
  socket.say({ account: true, id: "5-1", event: "room.updated", data: {} });
  await settled();
  assert.equal((await theirs).value, null);
  assert.equal((await account.next()).value.id, "5-1");
  assert.equal((await room.next()).value, null);
  assert.deepEqual((await room.next()).value, { id: "1-1", type: "message.created", data: { seq: 1 } });
  assert.equal(FakeSocket.made.length, 1);
});

test("who leaves is subscribed no more, and the last one closes the connection", async (t) => {
  const { events, room, first, socket } = await subscribed(t);
  socket.say({ ref: 1, status: 200, body: { cursor: "1-0" } });
  await first;
  await room.return();
  assert.ok(events.isFree("r1"));
  assert.deepEqual(socket.sent[1], { op: "unsubscribe", ref: 2, room_id: "r1" });
  socket.say({ ref: 2, status: 200, body: {} });
  await settled();
  assert.equal(socket.readyState, 3);
});

test("what was told before the connection ended is given, then its end", async (t) => {
  const { room, first, socket } = await subscribed(t);
  socket.say({ ref: 1, status: 200, body: { cursor: "1-0" } });
  await first;
  socket.say({ room_id: "r1", id: "1-1", event: "message.created", data: {} });
  socket.close("lifetime");
  assert.equal((await room.next()).value.id, "1-1");
  await assert.rejects(room.next(), (error) => error instanceof NoAnswer && /lifetime/.test(error.message));
});

test("a refusal is that of its kind, and a connection that is not let through says so", async (t) => {
  const { first, socket } = await subscribed(t);
  socket.say({ ref: 1, status: 404, body: { code: "room-not-found", detail: "No such room" } });
  await assert.rejects(first, NotFound);

  FakeSocket.made = [];
  const closed = new EventSocket("http://parlor.test").events("", null, { onOpen: () => {} }).next();
  await settled();
  FakeSocket.made[0].close();
  await assert.rejects(closed, NotOpened);
});

test("an abort is not held up by a connection that does not open", async () => {
  globalThis.WebSocket = FakeSocket;
  FakeSocket.made = [];
  const control = new AbortController();
  const waiting = new EventSocket("http://parlor.test").events("", null, { signal: control.signal, onOpen: () => {} }).next();
  await settled();
  control.abort(new Error("left"));
  await assert.rejects(waiting, /left/);
  FakeSocket.made[0].close();
});
