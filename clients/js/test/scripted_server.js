// An HTTP server that answers by script, and cuts its answers where the script says.

import { createServer } from "node:http";

export const ROOM = "room-1";
export const REPLY = "reply-1";

export const answer = (body, { status = 200, headers = {}, cut } = {}) => ({
  status,
  headers: { "Content-Type": "application/json", ...headers },
  body: Buffer.from(JSON.stringify({ ...body, errorCode: 0 })),
  cut,
});

export const problem = (status, code, { headers = {}, ...more } = {}) => ({
  status,
  headers: { "Content-Type": "application/problem+json", ...headers },
  body: Buffer.from(JSON.stringify({ status, code, errorCode: 1, detail: `it is ${code}`, request_id: "req-1", ...more })),
});

export const stream = (events, cut) => ({
  status: 200,
  headers: { "Content-Type": "text/event-stream" },
  body: Buffer.concat([Buffer.from(": open\n\n"), ...events]),
  cut,
});

export const frame = (number, type, data) =>
  Buffer.from(`id: 1-${number}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);

export const message = (changed = {}) => ({
  message_id: REPLY,
  room_id: ROOM,
  seq: 2,
  sender_type: "AI",
  content: "",
  timestamp: "2026-11-23T10:00:00.000Z",
  state: "SENT",
  is_streaming: false,
  attempt: 1,
  finish_reason: "stop",
  parts: [],
  ...changed,
});

/** Calls `use(url, requests)` while the server runs. `script(request)` answers, or promises to. */
export async function serving(script, use) {
  const requests = [];
  const server = createServer(async (incoming, outgoing) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const request = { method: incoming.method, path: incoming.url, headers: incoming.headers, body: body.toString() };
    requests.push(request);
    const given = await script(request);
    outgoing.writeHead(given.status, { ...given.headers, "Content-Length": given.body.length, Connection: "close" });
    if (given.cut === undefined) return outgoing.end(given.body);
    // The length was told, so what is missing is noticed.
    return outgoing.write(given.body.subarray(0, given.cut), () => outgoing.socket?.end());
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    return await use(`http://127.0.0.1:${server.address().port}`, requests);
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}
