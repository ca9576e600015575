// Turns that were said elsewhere, kept in a room. The API lets only Parlor's own models write replies, so a foreign answer
// is a note of the person (`reply: none`): it begins with who said it, and its metadata has the rest.

import { leadOf } from "./foreign_answer.js";
import { CONTENT_MAX } from "./text_field.js";
import { characters } from "../client/fold.js";

/** A longer Retry-After is the person's decision. */
const PATIENT = { tries: 6, longestWait: 120 };
const TITLE_MAX = 200;
const EXTERNAL_ID_MAX = 128;
const NAME_MAX = 60;

/** The room of a conversation: the one that was made for it before, or a new one. */
export async function roomFor(api, source, { id, title }, persona, signal) {
  const external = `import:${source}:${id}`.slice(0, EXTERNAL_ID_MAX);
  const name = [...title].slice(0, TITLE_MAX).join("") || undefined;
  return api.createRoom({ title: name, ai_persona: persona, external_id: external, signal, retries: PATIENT });
}

/**
 * Keep turns (`{ id, role, from, by, at, text, files }`) in a room, in their order. Those that are there already are left
 * alone; `onTurn()` hears of each.
 */
export async function keepTurns(api, roomId, turns, { signal, onTurn = () => {} }) {
  const known = await kept(api, roomId, signal);
  for (const turn of turns) {
    const imported = { from: turn.from, role: turn.role, at: turn.at ?? undefined, by: turn.by.slice(0, NAME_MAX) || undefined };
    const lead = turn.role === "assistant" ? leadOf(imported) : "";
    for (const [number, piece] of pieces(turn.text, CONTENT_MAX - characters(lead), turn.files).entries()) {
      const id = number ? `${turn.id}/${number}` : turn.id;
      if (known.has(id)) continue;
      const content = lead + piece;
      const metadata = { imported: { ...imported, id } };
      const key = keyOf(`${roomId} ${id} ${content}`);
      const files = number ? [] : turn.files;
      const about = { idempotencyKey: key, metadata, files, reply: "none", signal, retries: PATIENT };
      await api.send(roomId, content.trim() || !files.length ? content : null, about);
    }
    onTurn();
  }
}

/** The ids of the turns that the room has. */
async function kept(api, roomId, signal) {
  const ids = new Set();
  let before;
  do {
    const page = await api.listMessages(roomId, { limit: 200, before, signal, retries: PATIENT });
    for (const { metadata } of page.messages) if (metadata?.imported) ids.add(metadata.imported.id);
    before = page.has_more ? page.next_before : undefined;
  } while (before);
  return ids;
}

/** The text in pieces that a message can hold, cut where a line ends. */
export function pieces(text, most, files = []) {
  const found = [];
  let rest = [...text];
  while (rest.length > most) {
    const cut = rest.lastIndexOf("\n", most - 1);
    const end = cut > most / 2 ? cut + 1 : most;
    found.push(rest.slice(0, end).join(""));
    rest = rest.slice(end);
  }
  found.push(rest.join(""));
  // Files may come without a word.
  return found.filter((piece, number) => piece.trim() !== "" || (number === 0 && files.length > 0));
}

/** The same for the same text, so that trying again keeps it once. FNV-1a: `crypto.subtle` is on https only. */
function keyOf(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `import-${hash.toString(16)}`;
}
