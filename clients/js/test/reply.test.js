import assert from "node:assert/strict";
import { test } from "node:test";

import { BadAnswer, Client, NoAnswer, NotFound, ReplyDeleted } from "../src/index.js";
import { answer, frame, message, problem, REPLY, ROOM, serving, stream } from "./scripted_server.js";

const PATH = `/v1/rooms/${ROOM}/messages/${REPLY}`;
const OPEN = ": open\n\n".length;

const piece = (number, offset, text, { attempt = 1, type = "message.delta", index = 0 } = {}) =>
  frame(number, type, { message_id: REPLY, attempt, index, offset, text });
const ended = (number, content, { type = "message.completed", ...changed } = {}) =>
  frame(number, type, { message: message({ content, ...changed }) });

const CALL = { type: "tool_call", tool_call_id: "call-1", name: "clock", state: "running" };
const NOON = { type: "text", text: "Noon" };
const PLAIN = [
  frame(1, "message.created", { message: message({ attempt: 0, is_streaming: true }) }),
  piece(2, 0, "One 😀"),
  piece(3, 5, " two\n\n"),
  piece(4, 11, " drei ä\u2028"),
  ended(5, "One 😀 two\n\n drei ä\u2028"),
];
const TAKEN_OVER = [
  piece(1, 0, "A fir"),
  piece(2, 5, "st try"),
  frame(3, "message.reset", { message_id: REPLY, attempt: 2 }),
  piece(4, 0, "A ", { attempt: 2 }),
  piece(5, 2, "second one"), // of a process that does not know yet
  piece(6, 0, "A ", { attempt: 2 }),
  piece(7, 2, "second try", { attempt: 2 }),
  ended(8, "A second try", { attempt: 2 }),
];
const WITH_PARTS = [
  piece(1, 0, "Hm", { type: "message.reasoning" }),
  frame(2, "message.part", { message_id: REPLY, attempt: 1, index: 1, part: CALL }),
  frame(3, "message.part", { message_id: REPLY, attempt: 1, index: 1, part: { ...CALL, state: "done" } }),
  piece(4, 0, "Noon", { index: 2 }),
  ended(5, "Noon", { parts: [{ type: "reasoning", text: "Hm" }, { ...CALL, state: "done" }, NOON] }),
];
const THOUGHT = { type: "reasoning", text: "Hm", duration_ms: 5 };
const THOUGHT_ON = [
  frame(1, "message.reset", { message_id: REPLY, attempt: 2 }),
  // What an earlier attempt thought, whole; this one goes on behind it.
  frame(2, "message.part", { message_id: REPLY, attempt: 2, index: 0, part: THOUGHT }),
  frame(3, "message.part", { message_id: REPLY, attempt: 2, index: 1, part: { ...CALL, state: "done" } }),
  piece(4, 2, " so", { attempt: 2, index: 2, type: "message.reasoning" }),
  piece(5, 0, "Noon", { attempt: 2, index: 3 }),
  ended(6, "Noon", { attempt: 2, parts: [THOUGHT, { ...CALL, state: "done" }, { ...THOUGHT, text: " so" }, NOON] }),
];
const STOPPED = [piece(1, 0, "Half"), ended(2, "Half", { type: "message.stopped", finish_reason: "stopped" })];
const LOGS = { plain: PLAIN, "taken over": TAKEN_OVER, parts: WITH_PARTS, "thought on": THOUGHT_ON, stopped: STOPPED };

const clientOf = (url, options = {}) => new Client(url, "token", { sleep: async () => {}, ...options });
const after = (request) => Number((request.headers["last-event-id"] ?? "1-0").slice(2));

async function read(url, { retries, ...options } = {}) {
  const reply = clientOf(url, { retries }).reply(ROOM, REPLY, options);
  const deltas = [];
  for await (const delta of reply) deltas.push(delta);
  return { deltas, text: reply.text, reasoning: reply.reasoning, message: reply.message };
}

const folded = (deltas) =>
  deltas.reduce((text, { type, text: piece }) => (type === "reset" ? "" : text + (type === "text" ? piece : "")), "");

function places(events) {
  let at = OPEN;
  return [0, 4].concat(
    events.flatMap(({ length }) => {
      const found = [at, at + 3, at + Math.floor(length / 2), at + length - 1];
      at += length;
      return found;
    }),
  );
}

for (const [name, events] of Object.entries(LOGS)) {
  test(`a cut at any event leaves the whole reply: ${name}`, async () => {
    const whole = await serving(() => stream(events), (url) => read(url));
    assert.equal(folded(whole.deltas), whole.text);
    assert.equal(whole.text, whole.message.content);
    for (const cut of places(events)) {
      let opened = 0;
      const script = (request) => stream(events.slice(after(request)), (opened += 1) === 1 ? cut : undefined);
      await serving(script, async (url, requests) => {
        assert.deepEqual(await read(url), whole, `cut at ${cut}`);
        assert.equal(requests.length, 2);
      });
    }
  });
}

test("a server that cuts behind every event is followed to the end", async () => {
  const script = (request) => {
    const rest = PLAIN.slice(after(request));
    return stream(rest, OPEN + rest[0].length + 2);
  };
  await serving(script, async (url, requests) => {
    assert.equal((await read(url, { retries: { tries: 2 } })).text, "One 😀 two\n\n drei ä\u2028");
    assert.deepEqual(requests.map(({ headers }) => headers["last-event-id"]), [undefined, "1-1", "1-2", "1-3", "1-4"]);
  });
});

test("events that are gone are made good by the message", async () => {
  for (const isStreaming of [true, false]) {
    const events = [piece(5, 0, "The whole"), piece(6, 9, " text"), ended(7, "The whole text")];
    const script = (request) => {
      if (request.path === PATH) return answer(message({ content: "The whole text", is_streaming: isStreaming }));
      return "last-event-id" in request.headers ? problem(410, "stream-expired") : stream(events);
    };
    const found = await serving(script, (url) => read(url, { cursor: "1-1" }));
    assert.equal(folded(found.deltas), "The whole text");
    assert.equal(found.text, "The whole text");
  }
});

test("a gap is read again from the start, and at some time reported", async () => {
  const whole = [piece(1, 0, "ab"), piece(2, 2, "cd"), ended(3, "abcd")];
  const gap = [whole[0], piece(2, 3, "d")];
  let opened = 0;
  const found = await serving(() => stream((opened += 1) === 1 ? gap : whole), (url) => read(url));
  assert.deepEqual(found.deltas.map(({ type }) => type), ["text", "reset", "text", "text"]);
  assert.equal(found.text, "abcd");
  await assert.rejects(serving(() => stream(gap), (url) => read(url)), BadAnswer);
});

test("a deleted reply is an error", async () => {
  const ends = [
    frame(2, "message.deleted", { message_id: REPLY, seq: 2, state: "DELETING" }),
    frame(2, "room.deleted", { room_id: ROOM }),
  ];
  for (const last of ends) await assert.rejects(serving(() => stream([PLAIN[1], last]), (url) => read(url)), ReplyDeleted);
});

test("what does not come back is given up", async () => {
  await serving(() => stream(PLAIN, 4), async (url, requests) => {
    await assert.rejects(read(url, { retries: { tries: 3 } }), NoAnswer);
    assert.equal(requests.length, 3);
  });
  await assert.rejects(serving(() => problem(404, "room-not-found"), (url) => read(url)), (error) => {
    assert.ok(error instanceof NotFound);
    assert.deepEqual([error.code, error.requestId], ["room-not-found", "req-1"]);
    return true;
  });
  await assert.rejects(serving(() => answer({}), (url) => read(url)), BadAnswer);
});

test("a stream that is cut without an event is soon opened again; one that the server ends or refuses is not", async () => {
  const leaving = Buffer.from('event: stream.reconnect\ndata: {"cursor": "1-0", "reason": "internal"}\n\n');
  const pausesOf = async (given) => {
    const pauses = [];
    const options = { random: () => 0, sleep: async (seconds) => pauses.push(seconds) };
    await serving(() => given, (url) => assert.rejects(new Client(url, "token", options).reply(ROOM, REPLY).result()));
    return pauses;
  };
  assert.deepEqual(await pausesOf(stream(PLAIN, OPEN + 20)), [0.25, 0.5, 1, 2, 2, 2, 2]);
  const longer = [0.25, 0.5, 1, 2, 4, 8, 8];
  assert.deepEqual(await pausesOf(stream([leaving])), longer);
  assert.deepEqual(await pausesOf(problem(503, "overloaded")), longer);
});

test("events of a room come once, through cuts, until the reader leaves", async () => {
  const events = Array.from({ length: 7 }, (_, index) => frame(index + 1, "message.updated", { message: { seq: index + 1 } }));
  const script = (request) => {
    const rest = events.slice(after(request));
    return stream(rest, OPEN + Buffer.concat(rest.slice(0, 2)).length + 20);
  };
  await serving(script, async (url) => {
    const found = [];
    for await (const event of clientOf(url, { retries: { tries: 2 } }).roomEvents(ROOM, { after: "1-0" })) {
      found.push(event.data.message.seq);
      if (found.length === 7) break;
    }
    assert.deepEqual(found, [1, 2, 3, 4, 5, 6, 7]);
  });
});

test("events that are gone are gone on with from what is read anew", async () => {
  const read = ["1-0", "1-5"];
  const answers = [
    problem(503, "overloaded"),
    stream([frame(1, "room.updated", {})]),
    problem(410, "stream-expired", { oldest_cursor: "1-4" }),
    stream([frame(6, "room.updated", {})]),
  ];
  await serving(() => answers.shift(), async (url, requests) => {
    const heard = [];
    const options = {
      after: async () => {
        heard.push("read");
        return read.shift();
      },
      onConnect: () => heard.push("connect"),
      onOpen: () => heard.push("open"),
    };
    const found = [];
    for await (const event of clientOf(url).roomEvents(ROOM, options)) if (found.push(event.id) === 2) break;
    assert.deepEqual(found, ["1-1", "1-6"]);
    assert.deepEqual(requests.map(({ headers }) => headers["last-event-id"]), ["1-0", "1-0", "1-1", "1-5"]);
    const again = ["connect", "open", "connect", "connect", "read", "open"];
    assert.deepEqual(heard, ["connect", "read", ...again]);
  });
  // What is read may fail as a call does; a mistake of the reader's is none.
  const wrong = new TypeError("a mistake");
  const after = async () => {
    throw wrong;
  };
  await serving(() => stream([]), (url) => assert.rejects(clientOf(url).roomEvents(ROOM, { after }).next(), wrong));
});

test("a reply that was asked for again has the message as it was then", async () => {
  const asked = message({ attempt: 2, content: "", is_streaming: true });
  await serving(() => answer(asked), async (url) => {
    const reply = await clientOf(url).regenerate(ROOM, REPLY);
    assert.deepEqual([reply.asked.message_id, reply.asked.attempt, reply.attempt], [REPLY, 2, 2]);
  });
});

test("an abort is the caller's own", async () => {
  const leaving = new AbortController();
  await serving(() => stream([PLAIN[1]]), async (url) => {
    const reply = new Client(url, "token").reply(ROOM, REPLY, { signal: leaving.signal });
    await assert.rejects(async () => {
      for await (const _ of reply) leaving.abort();
    }, { name: "AbortError" });
    assert.equal(reply.text, "One 😀");
  });
});
