// Export files of other programs, read into conversations. No DOM, no requests.
//
// A conversation is `{ id, title, at, turns, left }`. A turn is `{ id, role, text, at, by }`: `role` is "user" or "assistant",
// `by` the model's name or "". `left` counts what the file has and a turn cannot carry.

/** What can be left out, in the order in which it is told. */
export const LEFT = ["branches", "files", "tools", "thoughts"];

/** `{ source, conversations }` of a file's text; null when it is of no kind that is known. */
export function readExport(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    return null;
  }
  const all = (Array.isArray(found) ? found : [found]).filter((each) => each !== null && typeof each === "object");
  if (all.length === 0) return null;
  if (all.every((each) => isObject(each.mapping))) return { source: "ChatGPT", conversations: all.map(chatGpt) };
  if (all.every((each) => isObject((each.chat ?? each).history?.messages) || Array.isArray((each.chat ?? each).messages))) {
    return { source: "Open WebUI", conversations: all.map(openWebUi) };
  }
  return null;
}

/** A tree of messages; the conversation is the way from the root to `current_node`. */
function chatGpt(found, index) {
  const { mapping } = found;
  const left = nothing();
  const way = wayTo(mapping, found.current_node ?? newest(mapping), "parent");
  const turns = way.map((id) => chatGptTurn(id, mapping[id].message, left)).filter(Boolean);
  left.branches = forks(mapping, (node) => node.children ?? []);
  const id = String(found.conversation_id ?? found.id ?? `${index}-${found.create_time}`);
  return { id, title: titleOf(found.title), at: timeOf(found.create_time), turns: merged(turns), left };
}

function chatGptTurn(id, message, left) {
  if (!message?.content || message.metadata?.is_visually_hidden_from_conversation) return null;
  const { role } = message.author ?? {};
  const { content_type: type, parts = [], text } = message.content;
  if (type === "thoughts" || type === "reasoning_recap") return void (left.thoughts += 1);
  if (role === "tool" || (role === "assistant" && (message.recipient ?? "all") !== "all")) return void (left.tools += 1);
  if (role !== "user" && role !== "assistant") return null;
  if (type !== "text" && type !== "multimodal_text" && type !== "code") return null;
  left.files += parts.filter((part) => typeof part !== "string" && !part?.text).length + (message.metadata?.attachments?.length ?? 0);
  const said = [...parts.map((part) => (typeof part === "string" ? part : (part?.text ?? ""))), type === "code" ? text : ""];
  return turn(id, role, said.filter(Boolean).join("\n\n"), timeOf(message.create_time), message.metadata?.model_slug);
}

function openWebUi(found, index) {
  const chat = found.chat ?? found;
  const messages = chat.history?.messages ?? Object.fromEntries((chat.messages ?? []).map((each, at) => [each.id ?? at, each]));
  const left = nothing();
  const way = chat.history ? wayTo(messages, chat.history.currentId ?? newest(messages), "parentId") : Object.keys(messages);
  const turns = way.map((id) => openWebUiTurn(id, messages[id], left)).filter(Boolean);
  left.branches = forks(messages, (message) => message.childrenIds ?? []);
  const id = String(found.id ?? chat.id ?? `${index}-${found.created_at ?? chat.timestamp}`);
  return { id, title: titleOf(found.title ?? chat.title), at: timeOf(found.created_at ?? chat.timestamp), turns: merged(turns), left };
}

/** What a model thought, and what its tools did, stand folded in its text. */
const FOLDED = /<details\b[^>]*\btype="(\w+)"[^>]*>[^]*?<\/details>\s*/g;

function openWebUiTurn(id, { role, content, timestamp, model, files }, left) {
  left.files += files?.length ?? 0;
  if ((role !== "user" && role !== "assistant") || typeof content !== "string") return null;
  if (role === "user") return turn(id, role, content, timeOf(timestamp));
  const text = content.replace(FOLDED, (_, kind) => {
    left[kind === "reasoning" ? "thoughts" : "tools"] += 1;
    return "";
  });
  return turn(id, role, text, timeOf(timestamp), model);
}

function turn(id, role, text, at, by = "") {
  return text.trim() === "" ? null : { id: String(id), role, text: text.trim(), at, by: by ?? "" };
}

/** What an answer says between its calls of tools is one turn. */
function merged(turns) {
  const whole = [];
  for (const each of turns) {
    const last = whole.at(-1);
    if (last?.role === "assistant" && each.role === "assistant") last.text += `\n\n${each.text}`;
    else whole.push({ ...each });
  }
  return whole;
}

/** The ids from the root to this one. A file may be broken: nothing is walked twice. */
function wayTo(nodes, last, parent) {
  const way = new Set();
  for (let id = last; id !== undefined && id !== null && nodes[id] && !way.has(id); id = nodes[id][parent]) way.add(id);
  return [...way].reverse();
}

function newest(nodes) {
  return Object.keys(nodes).at(-1);
}

/** How many answers or questions stand beside those that are taken. */
function forks(nodes, childrenOf) {
  return Object.values(nodes).reduce((sum, node) => sum + Math.max(0, childrenOf(node).length - 1), 0);
}

function nothing() {
  return Object.fromEntries(LEFT.map((name) => [name, 0]));
}

function titleOf(title) {
  return typeof title === "string" ? title.trim() : "";
}

/** Seconds since 1970, or milliseconds where a program has changed its mind, as RFC 3339; null when there is none. */
function timeOf(seconds) {
  if (typeof seconds !== "number" || !(seconds > 0)) return null;
  const at = new Date(seconds > 1e11 ? seconds : seconds * 1000);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}

function isObject(found) {
  return found !== null && typeof found === "object" && !Array.isArray(found);
}
