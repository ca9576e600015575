import assert from "node:assert/strict";
import { test } from "node:test";

import {
  BadAnswer,
  Client,
  Conflict,
  Invalid,
  NoAnswer,
  NotFound,
  RateLimited,
  Refused,
  StreamExpired,
  Unauthenticated,
  Unavailable,
} from "../src/index.js";
import { answer, message, problem, REPLY, ROOM, serving } from "./scripted_server.js";

const SENT = { message: message({ message_id: "m", sender_type: "USER" }), reply: message(), cursor: "1-1" };

function clientOf(url, { token = "token", ...options } = {}) {
  const pauses = [];
  const client = new Client(url, token, { sleep: async (seconds) => pauses.push(seconds), ...options });
  return { client, pauses };
}

/** Keeps what is sent by its key, and loses the first answers. */
function store(lost) {
  const kept = new Map();
  const script = (request) => {
    const key = request.headers["idempotency-key"];
    const replayed = kept.has(key);
    kept.set(key, JSON.parse(request.body));
    const headers = replayed ? { "Idempotent-Replayed": "true" } : {};
    return answer(SENT, { status: replayed ? 200 : 201, headers, cut: lost.pop() });
  };
  return { kept, script };
}

test("a send is stored once, however often its answer is lost", async () => {
  for (const lost of [[], [0], [40], [0, 100, 3]]) {
    const tries = lost.length + 1;
    const { kept, script } = store(lost);
    await serving(script, async (url, requests) => {
      const sent = await clientOf(url).client.send(ROOM, "hello");
      assert.deepEqual([...kept.values()], [{ content: "hello" }]);
      assert.equal(requests.length, tries);
      assert.deepEqual([sent.reply.message_id, sent.cursor, sent.replayed], [REPLY, "1-1", tries > 1]);
    });
  }
});

test("each send has a key of its own, or the one that is given", async () => {
  await serving(store([]).script, async (url, requests) => {
    const { client } = clientOf(url);
    await client.send(ROOM, "hello");
    await client.send(ROOM, "hello");
    await client.send(ROOM, "hello", { idempotencyKey: 'a "b"\\' });
    const keys = requests.map(({ headers }) => headers["idempotency-key"]);
    assert.equal(new Set(keys).size, 3);
    assert.equal(keys[2], '"a \\"b\\"\\\\"');
  });
});

test("what a send asks for is sent", async () => {
  await serving(store([]).script, async (url) => {
    const files = [
      { file_id: "f-1", media_type: "image/png" },
      { file_id: "f-2", media_type: "text/plain" },
    ];
    const seen = [];
    const watching = (target, options) => {
      seen.push(options);
      return fetch(target, options);
    };
    const { client } = clientOf(url, { fetch: watching });
    await client.send(ROOM, "look", { files, on_busy: "reject", metadata: { a: 1 }, wait: 5, persisted: true });
    assert.deepEqual(JSON.parse(seen[0].body), {
      content: "look",
      parts: [
        { type: "image", file_id: "f-1" },
        { type: "file", file_id: "f-2" },
      ],
      on_busy: "reject",
      metadata: { a: 1 },
    });
    assert.equal(seen[0].headers.Prefer, "wait=5, durability=persisted");
    assert.equal(seen[0].headers.Authorization, "Bearer token");
  });
});

test("a refusal that passes is waited for", async () => {
  const dates = { "Retry-After": "Sat, 28 Nov 2026 10:00:09 GMT", Date: "Sat, 28 Nov 2026 10:00:05 GMT" };
  const refusals = [
    [problem(429, "rate-limited", { retry_after_seconds: 7.5 }), 7.5],
    [problem(503, "overloaded", { headers: { "Retry-After": "3" } }), 3],
    [{ status: 503, headers: dates, body: Buffer.from("busy") }, 4],
  ];
  for (const [refusal, pause] of refusals) {
    const answers = [refusal, answer(SENT, { status: 201 })];
    await serving(() => answers.shift(), async (url, requests) => {
      const { client, pauses } = clientOf(url, { random: () => 0 });
      await client.send(ROOM, "hello");
      assert.deepEqual(pauses, [pause]);
      assert.equal(new Set(requests.map(({ headers }) => headers["idempotency-key"])).size, 1);
    });
  }
});

test("pauses grow and end", async () => {
  await serving(() => problem(503, "cache-unavailable"), async (url, requests) => {
    const retries = { tries: 5, firstPause: 1, longestPause: 4 };
    const { client, pauses } = clientOf(url, { retries, random: () => 0.5 });
    await assert.rejects(client.getRoom(ROOM), Unavailable);
    assert.equal(requests.length, 5);
    assert.deepEqual(pauses, [0.75, 1.5, 3, 3]);
  });
});

test("a call may have more patience than its client, and says for what it waits", async () => {
  const answers = [problem(500, "internal"), problem(503, "overloaded", { retry_after_seconds: 90 }), answer({ room_id: ROOM })];
  await serving(() => answers.shift(), async (url, requests) => {
    const { client, pauses } = clientOf(url, { retries: { tries: 1 }, random: () => 0 });
    const waits = [];
    const onWait = (failure, { failures }) => waits.push([failure.status, failures]);
    const retries = { tries: Infinity, longestWait: Infinity, isPassing: ({ status }) => status >= 500, onWait };
    assert.equal((await client.getRoom(ROOM, { retries })).room_id, ROOM);
    assert.deepEqual(waits, [[500, 1], [503, 2]]);
    assert.deepEqual(pauses, [0.25, 90]);
    assert.equal(requests.length, 3);
  });
  // The next one has the client's again.
  await serving(() => problem(503, "overloaded"), async (url, requests) => {
    const { client } = clientOf(url, { retries: { tries: 1 } });
    await assert.rejects(client.getRoom(ROOM), Unavailable);
    assert.equal(requests.length, 1);
  });
});

test("a call that the client has no name for is made by its path", async () => {
  await serving(() => answer({ account_id: "ada" }), async (url, requests) => {
    const { client } = clientOf(url);
    assert.equal((await client.call("POST", "/v1/session", { body: { name: "ada" } })).account_id, "ada");
    const [{ method, path, body }] = requests;
    assert.deepEqual([method, path, JSON.parse(body)], ["POST", "/v1/session", { name: "ada" }]);
  });
});

test("a refusal that stays is thrown at once", async () => {
  const refusals = [
    [problem(401, "unauthenticated"), Unauthenticated],
    [problem(404, "room-not-found"), NotFound],
    [problem(409, "room-busy"), Conflict],
    [problem(410, "stream-expired", { oldest_cursor: "1-9" }), StreamExpired],
    [problem(422, "invalid-request", { errors: [{ loc: ["body"] }] }), Invalid],
    [problem(429, "quota-exceeded", { retry_after_seconds: 3600 }), RateLimited],
    [problem(500, "internal"), Refused],
  ];
  for (const [refusal, kind] of refusals) {
    await serving(() => refusal, async (url, requests) => {
      await assert.rejects(clientOf(url).client.send(ROOM, "hello"), (error) => {
        assert.ok(error instanceof kind);
        assert.match(String(error), /\(request req-1\)$/);
        if (kind === StreamExpired) assert.equal(error.oldestCursor, "1-9");
        if (kind === Invalid) assert.deepEqual(error.errors, [{ loc: ["body"] }]);
        return true;
      });
      assert.equal(requests.length, 1);
    });
  }
});

test("a call that is not safe to repeat is not repeated", async () => {
  await serving(() => answer(message(), { cut: 3 }), async (url, requests) => {
    const { client } = clientOf(url, { retries: { tries: 3 } });
    await assert.rejects(client.stop(ROOM, REPLY), NoAnswer);
    assert.equal(requests.length, 1);
    await assert.rejects(client.stop(ROOM, REPLY, { attempt: 1 }), NoAnswer);
    assert.equal(requests.length, 4);
  });
});

test("what is not Parlor is said so", async () => {
  for (const body of ["<html>", "[]"]) {
    await serving(() => ({ status: 200, headers: {}, body: Buffer.from(body) }), (url) =>
      assert.rejects(clientOf(url).client.getRoom(ROOM), BadAnswer),
    );
  }
  assert.throws(() => new Client("127.0.0.1:8000", "token"), TypeError);
});

test("a token is asked for again when it has ended", async () => {
  const script = ({ headers }) =>
    headers.authorization === "Bearer new" ? answer({ title: "Tea" }) : problem(401, "unauthenticated");
  await serving(script, async (url, requests) => {
    const tokens = ["old", "new"];
    const { client } = clientOf(url, { token: async () => tokens.shift() });
    assert.equal((await client.getRoom(ROOM)).title, "Tea");
    await assert.rejects(clientOf(url, { token: () => "wrong" }).client.getRoom(ROOM), Unauthenticated);
    assert.equal(requests.length, 3);
  });
});

test("calls whose token ends at the same time all go on with the next one", async () => {
  let valid = "old";
  let tell;
  const renewed = new Promise((resolve) => (tell = resolve));
  const script = async ({ path, headers }) => {
    if (headers.authorization === "Bearer new") {
      tell();
      return answer({ title: "Tea" });
    }
    valid = "new";
    // The second one hears of it when the first has the new token.
    if (path.endsWith("second")) await renewed;
    return problem(401, "unauthenticated");
  };
  await serving(script, async (url) => {
    const { client } = clientOf(url, { token: async () => valid });
    const titles = await Promise.all([client.getRoom("first"), client.getRoom("second")]);
    assert.deepEqual(titles.map(({ title }) => title), ["Tea", "Tea"]);
  });
});

test("pages are joined", async () => {
  const script = ({ path }) => {
    if (path.startsWith("/v1/rooms?")) {
      const more = !path.includes("cursor=c1");
      return answer({ rooms: more ? ["a", "b"] : ["c"], next_cursor: more ? "c1" : null });
    }
    const more = path.includes("after=0");
    return answer({ messages: more ? [{ seq: 1 }, { seq: 2 }] : [{ seq: 3 }], has_more: more });
  };
  await serving(script, async (url) => {
    const { client } = clientOf(url);
    const [rooms, seqs] = [[], []];
    for await (const room of client.rooms()) rooms.push(room);
    for await (const { seq } of client.history(ROOM)) seqs.push(seq);
    assert.deepEqual([rooms, seqs], [["a", "b", "c"], [1, 2, 3]]);
  });
});

test("files are sent as forms, read as blobs, and deleted once", async () => {
  const answers = [
    answer({ file_id: "f-1" }, { status: 201 }),
    { status: 200, headers: {}, body: Buffer.from("pot") },
    { status: 200, headers: {}, body: Buffer.from("gone"), cut: 0 },
    problem(404, "file-not-found"),
    problem(404, "file-not-found"),
  ];
  await serving(() => answers.shift(), async (url, requests) => {
    const { client } = clientOf(url);
    assert.equal((await client.upload("tea ä.txt", "pot")).file_id, "f-1");
    assert.match(requests[0].headers["content-type"], /^multipart\/form-data; boundary=/);
    assert.match(requests[0].body, /name="file"; filename="tea ä.txt"\r\n[^]*\r\n\r\npot\r\n/);
    assert.equal(await (await client.download("f-1")).text(), "pot");
    // The first try has deleted it, only its answer was lost.
    await client.deleteFile("f-1");
    await assert.rejects(client.deleteFile("f-1"), NotFound);
  });
});

test("ids are data in paths", async () => {
  await serving(() => problem(404, "room-not-found"), async (url, requests) => {
    await assert.rejects(clientOf(url).client.getRoom("../personas?x"), NotFound);
    assert.equal(requests[0].path, "/v1/rooms/..%2Fpersonas%3Fx");
  });
});

test("what waits is listed, and decided by what was seen", async () => {
  const call = { tool_call_id: "call/1", digest: "sha256:aa", state: "waiting" };
  const script = ({ method, path }) => {
    if (method === "POST") return answer({ ...call, state: "approved" });
    const more = !path.includes("cursor=c1");
    return path.endsWith("/tool-calls")
      ? answer({ tool_calls: [call] })
      : answer({ approvals: [{ room_id: ROOM, message_id: more ? "m-1" : "m-2", part: call }], next_cursor: more ? "c1" : null });
  };
  await serving(script, async (url, requests) => {
    const { client } = clientOf(url);
    const found = [];
    for await (const { message_id, part } of client.approvals()) found.push([message_id, part.state]);
    assert.deepEqual(found, [["m-1", "waiting"], ["m-2", "waiting"]]);
    assert.deepEqual(await client.toolCalls(ROOM, REPLY), [call]);
    requests.length = 0;
    assert.equal((await client.approve(ROOM, REPLY, call)).state, "approved");
    await client.approve(ROOM, REPLY, call, { arguments: { sum: 1 } });
    await client.deny(ROOM, REPLY, call, { reason: "no" });
    await client.postResult(ROOM, REPLY, call, "done", { is_error: true });
    const path = `/v1/rooms/${ROOM}/messages/${REPLY}/tool-calls/call%2F1`;
    const digest = call.digest;
    assert.deepEqual(
      requests.map((request) => [request.path, JSON.parse(request.body)]),
      [
        [`${path}/decision`, { decision: "approve", digest }],
        [`${path}/decision`, { decision: "approve", digest, arguments: { sum: 1 } }],
        [`${path}/decision`, { decision: "deny", digest, reason: "no" }],
        [`${path}/result`, { content: "done", digest, is_error: true }],
      ],
    );
  });
});
