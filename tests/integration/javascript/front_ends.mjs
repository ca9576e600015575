// What pages are built on, unmodified, against a running Parlor. Prints one line of JSON for each way of talking: the
// chat, how it ended, and what it shows.

import { JSDOM } from "jsdom";

const URL_OF = process.env.PARLOR_URL;
const page = new JSDOM("<main></main>", { url: URL_OF, pretendToBeVisual: true }).window;
// Node 21 and later have a navigator of their own, which stays.
globalThis.navigator ??= page.navigator;
Object.assign(globalThis, { window: page, document: page.document, HTMLElement: page.HTMLElement });

// React looks for a document as it is loaded.
const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const { DefaultChatTransport, parseJsonEventStream, uiMessageChunkSchema } = await import("ai");
const { Chat, useChat } = await import("@ai-sdk/react");
const { AssistantRuntimeProvider } = await import("@assistant-ui/react");
const { AssistantChatTransport, useChatRuntime } = await import("@assistant-ui/react-ai-sdk");

const api = `${URL_OF}/ai-sdk/chat`;
const headers = { Authorization: `Bearer ${process.env.PARLOR_TOKEN}` };
const transport = new DefaultChatTransport({ api, headers });
const LONG = "[[tokens=200 delay=10ms]]";

const textOf = (message) => message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
const said = (id, text) => ({ id, role: "user", parts: [{ type: "text", text }] });
const tell = (way, chat, told) => console.log(JSON.stringify({ way, chat, ...told }));

/** Resolves when the condition holds, looked at whenever something may have changed it. */
async function until(holds) {
  for (const end = Date.now() + 60_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`never: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Every chunk, as the schema of `ai` has it. */
async function schema() {
  const body = { id: "schema", messages: [said("m1", "Which tea keeps me awake?")], trigger: "submit-message" };
  const response = await fetch(api, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const kinds = [];
  for await (const chunk of parseJsonEventStream({ stream: response.body, schema: uiMessageChunkSchema })) {
    if (!chunk.success) throw chunk.error;
    kinds.push(chunk.value.type);
  }
  tell("schema", "schema", { version: response.headers.get("x-vercel-ai-ui-message-stream"), kinds: [...new Set(kinds)] });
}

async function talk() {
  const chat = new Chat({ id: "talk", transport });
  await chat.sendMessage({ text: "Which tea keeps me awake?" });
  tell("sent", "talk", { status: chat.status, text: textOf(chat.lastMessage), count: chat.messages.length });
  await chat.regenerate();
  tell("regenerated", "talk", { status: chat.status, text: textOf(chat.lastMessage), count: chat.messages.length });
}

/** The reader leaves in the middle, and another one takes the reply up from its start. */
async function resume() {
  const first = new Chat({ id: "resumed", transport });
  const sending = first.sendMessage({ text: LONG });
  await until(() => first.lastMessage?.role === "assistant" && textOf(first.lastMessage).length > 20);
  await first.stop();
  await sending;
  const second = new Chat({ id: "resumed", transport });
  await second.resumeStream();
  tell("resumed", "resumed", { status: second.status, text: textOf(second.lastMessage), before: textOf(first.lastMessage) });
}

async function stop() {
  const chat = new Chat({ id: "stopped", transport });
  const sending = chat.sendMessage({ text: LONG });
  await until(() => chat.lastMessage?.role === "assistant" && textOf(chat.lastMessage).length > 20);
  const answer = await fetch(`${api}/stopped/stop`, { method: "POST", headers });
  await sending;
  tell("stopped", "stopped", { status: chat.status, text: textOf(chat.lastMessage), answer: answer.status });
}

function shown(component) {
  const root = createRoot(document.querySelector("main"));
  root.render(createElement(component));
  return root;
}

async function hook() {
  let chat;
  const root = shown(() => {
    chat = useChat({ id: "hook", transport });
    return createElement("p", null, chat.messages.map(textOf).join("\n"));
  });
  await until(() => chat);
  await chat.sendMessage({ text: "Say hello" });
  await until(() => chat.status === "ready" && chat.messages.length === 2);
  tell("useChat", "hook", { status: chat.status, text: textOf(chat.messages[1]), shown: document.querySelector("p").textContent });
  root.unmount();
}

async function assistant() {
  let runtime;
  let id;
  class Noting extends AssistantChatTransport {
    sendMessages(options) {
      id = options.chatId;
      return super.sendMessages(options);
    }
  }
  const noting = new Noting({ api, headers });
  const root = shown(() => {
    runtime = useChatRuntime({ transport: noting });
    return createElement(AssistantRuntimeProvider, { runtime });
  });
  await until(() => runtime);
  runtime.thread.append("Say hello");
  const thread = () => runtime.thread.getState();
  await until(() => thread().messages.length === 2 && !thread().isRunning);
  const [, reply] = thread().messages;
  tell("assistant-ui", id, { status: reply.status.type, text: textOf({ parts: reply.content }) });
  root.unmount();
}

for (const way of [schema, talk, resume, stop, hook, assistant]) await way();
process.exit(0);
