export { Client, newKey } from "./client.js";
export {
  BadAnswer,
  ClientError,
  Conflict,
  Forbidden,
  Invalid,
  NoAnswer,
  NotFound,
  RateLimited,
  Refused,
  ReplyDeleted,
  StreamExpired,
  Unauthenticated,
  Unavailable,
} from "./errors.js";
export { Fold, characters } from "./fold.js";
export { Reply } from "./reply.js";
export { EventParser } from "./sse.js";
