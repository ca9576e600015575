// What a person decides about a call of a tool.

import { notify } from "./notice.js";
import { Problem } from "./problem.js";

/** Somebody was faster, or the arguments are others now: what is true is looked up and shown. */
const OVERTAKEN = new Set(["already-decided", "digest-mismatch", "illegal-transition"]);

/** Sends the decision; the transcript takes what became of it. Throws a Problem when the card has to say it. */
export async function decide(api, transcript, message, call, decision) {
  const { room_id: roomId, message_id: messageId } = message;
  try {
    transcript.takeCall(messageId, await decided(api, roomId, messageId, call, decision));
  } catch (error) {
    if (!(error instanceof Problem) || !OVERTAKEN.has(error.code)) throw error;
    const now = await api.getMessage(roomId, messageId);
    for (const part of now.parts) if (part.type === "tool_call") transcript.takeCall(messageId, part);
    if (now.state !== "COMPOSING") transcript.take(now);
    notify(error.sentence);
  }
}

function decided(api, roomId, messageId, call, { decision, digest, arguments: changed, reason }) {
  const seen = { tool_call_id: call.tool_call_id, digest };
  if (decision === "approve") return api.approve(roomId, messageId, seen, { arguments: changed });
  return api.deny(roomId, messageId, seen, { reason: reason || undefined });
}
