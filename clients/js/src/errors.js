// What goes wrong, each kind a class.

/** Any failure of a call. */
export class ClientError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** Nothing came back, or not all of it. What was asked may have been done. */
export class NoAnswer extends ClientError {}

/** An answer that cannot be read: another program's, or another version's. */
export class BadAnswer extends ClientError {}

/** The reply, its turn or its room is gone. */
export class ReplyDeleted extends ClientError {}

/** An answer that says no (RFC 9457). */
export class Refused extends ClientError {
  constructor({ status, code, errorCode, detail, requestId, retryAfter, body }) {
    super(`${status}${code ? ` ${code}` : ""}: ${detail}${requestId ? ` (request ${requestId})` : ""}`);
    Object.assign(this, { status, code, errorCode, detail, requestId, retryAfter, body });
  }
}

export class Unauthenticated extends Refused {}
export class Forbidden extends Refused {}
export class NotFound extends Refused {}
export class Conflict extends Refused {}

/** The events after the cursor are gone: read what they were about, and go on from there. */
export class StreamExpired extends Refused {
  get oldestCursor() {
    return this.body.oldest_cursor ?? null;
  }
}

/** The request is wrong, too large, or of a type that is not taken. */
export class Invalid extends Refused {
  get errors() {
    return this.body.errors ?? [];
  }
}

export class RateLimited extends Refused {}
export class Unavailable extends Refused {}

const BY_STATUS = {
  401: Unauthenticated,
  403: Forbidden,
  404: NotFound,
  409: Conflict,
  410: StreamExpired,
  413: Invalid,
  415: Invalid,
  422: Invalid,
  429: RateLimited,
  502: Unavailable,
  503: Unavailable,
  504: Unavailable,
};

/** The error for an answer whose status is not 2xx; also for one that a proxy made. */
export function refusal(status, headers, text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = null;
  }
  if (body === null || typeof body !== "object" || Array.isArray(body)) body = {};
  const kind = BY_STATUS[status] ?? Refused;
  return new kind({
    status,
    code: body.code ?? "",
    errorCode: body.errorCode ?? 0,
    detail: body.detail || body.title || `the answer has status ${status}`,
    requestId: body.request_id ?? headers.get("x-request-id"),
    retryAfter: retryAfter(headers, body),
    body,
  });
}

/** Seconds; null when the answer does not say. A date is compared with the server's own clock. */
function retryAfter(headers, body) {
  if (typeof body.retry_after_seconds === "number") return body.retry_after_seconds;
  const text = headers.get("retry-after")?.trim() ?? "";
  if (/^\d+$/.test(text)) return Number(text);
  const [until, now] = [Date.parse(text), Date.parse(headers.get("date") ?? "")];
  return Number.isNaN(until - now) ? null : Math.max(0, (until - now) / 1000);
}
