import assert from "node:assert/strict";
import { test } from "node:test";

import { BadAnswer, characters, EventParser } from "../src/index.js";

const TEXT =
  ': open\r\n\r\nid: 1-1\r\nevent: a\r\ndata: {"x": "😀"}\r\n\r\n' +
  'id: 1-2\nevent: b\ndata:{"y":\ndata: "\u2028"}\n\n: ping\n\nevent: none\n\n' +
  "data: {}\r\rid: 1-3\n\ndata: unfinished\n";
const EVENTS = [
  { id: "1-1", type: "a", data: { x: "😀" } },
  { id: "1-2", type: "b", data: { y: "\u2028" } },
  { id: "1-2", type: "message", data: {} },
];

function parse(...pieces) {
  const parser = new EventParser();
  const found = pieces.flatMap((piece) => parser.push(piece));
  assert.deepEqual([parser.cursor, parser.heartbeats], ["1-3", 1]);
  return found;
}

test("any cut gives the same events", () => {
  for (let cut = 0; cut <= TEXT.length; cut += 1) assert.deepEqual(parse(TEXT.slice(0, cut), TEXT.slice(cut)), EVENTS);
  assert.deepEqual(parse(...TEXT.split("")), EVENTS);
});

test("data that is no object is refused", () => {
  assert.throws(() => new EventParser().push("data: 7\n\n"), BadAnswer);
});

test("characters are counted as the server counts them", () => {
  for (const text of ["", "abc", "é", "😀", "a😀b👩‍👩‍👧c", "مرحبا"]) assert.equal(characters(text), Array.from(text).length);
});
