import type { components } from "./openapi.d.ts";

type Schemas = components["schemas"];
export type Room = Schemas["ChatRoom"];
export type Message = Schemas["ChatMessage"];
export type RoomPage = Schemas["ChatRoomListResponse"];
export type MessagePage = Schemas["ChatMessageListResponse"];
export type Sent = Schemas["ChatMessageSendResponse"] & { replayed: boolean };
export type Edited = Schemas["ChatMessageEditResponse"];
export type Deleted = Schemas["ChatMessageDeleteResponse"];
export type Persona = Schemas["ChatPersona"];
export type File = Schemas["File"];
export type SearchResult = Schemas["SearchResult"];
export type Approval = Schemas["ChatApproval"];
export type ToolCall = Schemas["ChatToolCallPart"];
/** The call that a decision is about, as it was seen. */
export type SeenCall = Pick<ToolCall, "tool_call_id" | "digest">;
export type Part = Message["parts"][number];

export interface Event {
  /** The cursor: the events after it are those that were not read yet. */
  id: string;
  type: string;
  data: Record<string, unknown>;
}

/** `text` and `reasoning` add `text`; `part`: `part` is new or has changed; `reset`: forget all of it. */
export interface Delta {
  type: "text" | "reasoning" | "part" | "reset";
  text: string;
  part?: Part;
  attempt: number;
}

/** Times are seconds. */
export interface Retries {
  tries: number;
  firstPause: number;
  longestPause: number;
  /** A longer `Retry-After` is the caller's to decide. */
  longestWait: number;
  /** Whether the same request may succeed later. */
  isPassing: (failure: ClientError) => boolean;
  /** Hears of each failure behind which the same is tried again; `failures` counts those in a row. */
  onWait: (failure: ClientError, told: { failures: number }) => void;
}

export interface Options {
  retries?: Partial<Retries>;
  /** Seconds for one try. */
  timeout?: number;
  /** Events come over one WebSocket, where it can be opened. For pages whose session is a cookie. */
  socket?: boolean;
  fetch?: typeof fetch;
  sleep?: (seconds: number, signal?: AbortSignal) => Promise<void>;
  random?: () => number;
}

/** What every call takes; `retries` are what is another for it than for the client. */
export interface Abortable {
  signal?: AbortSignal;
  retries?: Partial<Retries>;
}

export interface CallOptions extends Abortable {
  query?: Record<string, string | number | null | undefined>;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  form?: () => FormData;
  /** Whether it does what it does once, however often it is made (default). Otherwise it is not made again unless it was refused. */
  repeatable?: boolean;
  /** Of a deletion: that there is nothing (any more) is what was asked for. */
  goneIsDone?: boolean;
  /** Beyond the time limit of a call. */
  seconds?: number;
  read?: (response: Response) => Promise<unknown>;
}

export interface EventOptions extends Abortable {
  /** A cursor, or what reads what the events are about and resolves to their cursor. */
  after?: string | null | (() => Promise<string>);
  onConnect?: () => void;
  onOpen?: () => void;
}

export interface Keyed extends Abortable {
  idempotencyKey?: string;
}

export interface AskOptions extends Keyed {
  files?: Pick<File, "file_id" | "media_type">[];
  ai_persona?: string;
  metadata?: Record<string, unknown>;
  on_busy?: "enqueue" | "reject" | "interrupt" | "rollback" | "merge";
}

export interface SendOptions extends AskOptions {
  reply?: "auto" | "none";
  wait?: number;
  persisted?: boolean;
}

/** A text, what gives one, or undefined: then the browser's cookie says who it is. */
export type Token = string | (() => string | Promise<string>) | undefined;

export class Client {
  constructor(baseUrl: string, token?: Token, options?: Options);
  call(method: string, path: string, options?: CallOptions): Promise<any>;
  events(path: string, options?: EventOptions): AsyncGenerator<Event>;
  personas(options?: Abortable): Promise<Persona[]>;
  createRoom(options?: { title?: string; ai_persona?: string; external_id?: string } & Keyed): Promise<Room>;
  listRooms(options?: { limit?: number; cursor?: string; external_id?: string } & Abortable): Promise<RoomPage>;
  rooms(options?: Abortable): AsyncGenerator<Room>;
  getRoom(roomId: string, options?: Abortable): Promise<Room>;
  updateRoom(roomId: string, options: { title?: string; ai_persona?: string } & Abortable): Promise<Room>;
  deleteRoom(roomId: string, options?: Abortable): Promise<Room>;
  send(roomId: string, content: string | null, options?: SendOptions): Promise<Sent>;
  ask(roomId: string, content: string | null, options?: AskOptions): Promise<Reply>;
  reply(roomId: string, messageId: string, options?: { cursor?: string | null; attempt?: number } & Abortable): Reply;
  listMessages(roomId: string, options?: { limit?: number; before?: number; after?: number } & Abortable): Promise<MessagePage>;
  history(roomId: string, options?: { after?: number } & Abortable): AsyncGenerator<Message>;
  getMessage(roomId: string, messageId: string, options?: Abortable): Promise<Message>;
  deleteMessage(roomId: string, messageId: string, options?: Abortable): Promise<Deleted>;
  edit(roomId: string, messageId: string, content: string, options?: Keyed): Promise<Edited>;
  stop(roomId: string, messageId: string, options?: { attempt?: number } & Abortable): Promise<Message>;
  regenerate(roomId: string, messageId: string, options?: { ai_persona?: string } & Keyed): Promise<Reply>;
  continueReply(roomId: string, messageId: string, options?: Keyed): Promise<Reply>;
  variants(roomId: string, messageId: string, options?: Abortable): AsyncGenerator<Message>;
  queue(roomId: string, options?: Abortable): AsyncGenerator<Message>;
  approvals(options?: Abortable): AsyncGenerator<Approval>;
  toolCalls(roomId: string, messageId: string, options?: Abortable): Promise<ToolCall[]>;
  approve(roomId: string, messageId: string, call: SeenCall, options?: { arguments?: Record<string, unknown> } & Abortable): Promise<ToolCall>;
  deny(roomId: string, messageId: string, call: SeenCall, options?: { reason?: string } & Abortable): Promise<ToolCall>;
  postResult(roomId: string, messageId: string, call: SeenCall, content: string, options?: { is_error?: boolean } & Abortable): Promise<ToolCall>;
  search(q: string, options?: { room_id?: string; limit?: number } & Abortable): AsyncGenerator<SearchResult>;
  export(roomId: string, options?: { format?: "markdown" | "jsonl" } & Abortable): Promise<string>;
  upload(name: string, content: Blob | BlobPart, options?: Abortable): Promise<File>;
  files(options?: Abortable): AsyncGenerator<File>;
  download(fileId: string, options?: Abortable): Promise<Blob>;
  deleteFile(fileId: string, options?: Abortable): Promise<void>;
  roomEvents(roomId: string, options?: EventOptions): AsyncGenerator<Event>;
  accountEvents(options?: EventOptions): AsyncGenerator<Event>;
  replyEvents(roomId: string, messageId: string, options?: EventOptions): AsyncGenerator<Event>;
}

export class Reply implements AsyncIterable<Delta> {
  readonly roomId: string;
  readonly messageId: string;
  readonly cursor: string | null;
  /** The message as it was when it was asked for; null for a reply that somebody else asked for. */
  readonly asked: Message | null;
  readonly text: string;
  readonly reasoning: string;
  readonly parts: Map<number, Part>;
  readonly attempt: number;
  readonly message: Message | null;
  [Symbol.asyncIterator](): AsyncGenerator<Delta>;
  result(): Promise<Message>;
  stop(): Promise<Message>;
}

export class Fold {
  constructor(messageId: string, attempt?: number);
  static from(message: Message): Fold;
  readonly messageId: string;
  readonly attempt: number;
  readonly text: string;
  readonly reasoning: string;
  readonly parts: Map<number, Part>;
  readonly shown: Part[];
  readonly message: Message | null;
  readonly isDeleted: boolean;
  readonly hasEnded: boolean;
  apply(event: Event): Delta[];
  end(message: Message): Delta[];
  restart(): Delta[];
}

export class EventParser {
  constructor(cursor?: string | null);
  readonly cursor: string | null;
  readonly heartbeats: number;
  push(piece: string): Event[];
}

/** A new `idempotencyKey`, to be kept until the call that has it is answered. */
export function newKey(): string;

/** Characters as the server counts them: code points. */
export function characters(text: string): number;

export class ClientError extends Error {}
export class NoAnswer extends ClientError {}
export class BadAnswer extends ClientError {}
export class ReplyDeleted extends ClientError {}
export class Refused extends ClientError {
  readonly status: number;
  readonly code: string;
  readonly errorCode: number;
  readonly detail: string;
  readonly requestId: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;
  readonly body: Record<string, unknown>;
}
export class Unauthenticated extends Refused {}
export class Forbidden extends Refused {}
export class NotFound extends Refused {}
export class Conflict extends Refused {}
export class StreamExpired extends Refused {
  readonly oldestCursor: string | null;
}
export class Invalid extends Refused {
  readonly errors: { loc: (string | number)[]; msg: string; type: string }[];
}
export class RateLimited extends Refused {}
export class Unavailable extends Refused {}
