// What clients/js makes of recorded replies: reads one case a line, prints what each way of reading it shows.
//
// A case is { message_id, frames, resumptions: [{ known, body }] }: the stream's frames, and what a reader gets who has
// `known` of them and asks for the rest. The stream comes byte by byte, so that it is cut everywhere.

import { createInterface } from "node:readline";

import { Fold } from "../../../clients/js/src/fold.js";
import { EventParser } from "../../../clients/js/src/sse.js";

function taken(fold, shown, events) {
  for (const event of events) {
    for (const { type, text, part } of fold.apply(event)) {
      if (type === "reset") Object.assign(shown, { text: "", reasoning: "", calls: {} });
      else if (type !== "part") shown[type] += text;
      else if (part.type === "tool_call") shown.calls[part.tool_call_id] = part.state;
    }
  }
}

const calls = (parts) => Object.fromEntries(parts.flatMap((each) => (each.type === "tool_call" ? [[each.tool_call_id, each.state]] : [])));

/** Every event of the first frames, as whole as the bytes so far have it. */
function cut(frames) {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const events = [];
  const ends = [];
  for (const byte of Buffer.from(frames.join(""))) {
    events.push(...parser.push(decoder.decode(Uint8Array.of(byte), { stream: true })));
    ends.push(events.length);
  }
  return { events, ends };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { message_id: messageId, frames, resumptions } = JSON.parse(line);
  const { events, ends } = cut(frames);
  const seen = resumptions.map(({ known, body }) => {
    const fold = new Fold(messageId);
    const shown = { text: "", reasoning: "", calls: {} };
    taken(fold, shown, events.slice(0, known));
    taken(fold, shown, new EventParser().push(body));
    const parts = calls([...fold.parts.values()]);
    const kept = { text: fold.text, reasoning: fold.reasoning, calls: parts };
    return { shown, kept, has_ended: fold.hasEnded, is_deleted: fold.isDeleted };
  });
  console.log(JSON.stringify({ ends, seen }));
}
