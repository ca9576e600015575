// Going on from any message. The API edits only what nothing followed, so an earlier place is taken up in a new room, which
// begins with what was said up to there.

import { contentOf } from "./foreign_answer.js";
import { keepTurns } from "./foreign_turns.js";

const PAGE = 100;
/** The messages that a new room begins with, at most: each of them is a request. */
const MOST = 200;

/**
 * Make a room that begins with the messages before `seq`; resolves to it. `author(message)` names who said it; `make()`
 * makes the room.
 */
export async function branchOff(api, roomId, seq, { author, make, signal }) {
  const messages = [];
  let before = seq;
  while (before && messages.length < MOST) {
    const page = await api.listMessages(roomId, { limit: PAGE, before, signal });
    messages.unshift(...page.messages.filter((each) => each.state !== "DELETING" && each.state !== "DELETED" && each.state !== "COMPOSING"));
    before = page.has_more ? page.next_before : null;
  }
  const turns = messages.slice(-MOST).filter(({ content, parts }) => content.trim() || filesOf(parts).length);
  const room = await make();
  await keepTurns(api, room.room_id, turns.map((message) => turnOf(message, author(message))), { signal });
  return room;
}

function turnOf(message, author) {
  const { message_id: id, timestamp, metadata, parts, sender_type: sender } = message;
  const before = metadata?.imported ?? {};
  const role = before.role ?? (sender === "USER" ? "user" : "assistant");
  return { id, role, from: before.from ?? author, by: before.by ?? "", at: before.at ?? timestamp, text: contentOf(message), files: filesOf(parts) };
}

export function filesOf(parts = []) {
  return parts.filter((part) => part.type === "image" || part.type === "file");
}
