// Streams of the AI SDK's protocol through the package `ai`. Reads one stream a line, `{ body, cuts }`, and prints what its
// message shows for each beginning of the stream that is `cuts` bytes long, for all of it, and for all of it byte by byte.

import { createInterface } from "node:readline";

import { DefaultChatTransport, readUIMessageStream } from "ai";

/** What `useChat` has of a chat that it resumes, when the server sends these pieces. */
async function shown(pieces) {
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  const fetch = async () => new Response(body, { headers: { "x-vercel-ai-ui-message-stream": "v1" } });
  const stream = await new DefaultChatTransport({ api: "http://parlor/chat", fetch }).reconnectToStream({ chatId: "tea" });
  const ends = [];
  const noted = stream.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        if (chunk.type === "finish" || chunk.type === "abort") ends.push(chunk.finishReason ?? "abort");
        controller.enqueue(chunk);
      },
    }),
  );
  const errors = [];
  let last = { id: null, parts: [] };
  for await (const message of readUIMessageStream({ stream: noted, onError: ({ message }) => errors.push(message) })) last = message;
  const parts = last.parts.flatMap(({ type, text }) => (type === "text" || type === "reasoning" ? [[type, text]] : []));
  return { id: last.id, parts, ends, errors };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { body, cuts } = JSON.parse(line);
  const bytes = Buffer.from(body);
  const cut = [];
  for (const at of cuts) cut.push(await shown([bytes.subarray(0, at)]));
  const slow = await shown(Array.from(bytes, (byte) => Uint8Array.of(byte)));
  console.log(JSON.stringify({ cut, whole: await shown([bytes]), slow }));
}
