// What went wrong, in words for a person. The API answers with problem+json (RFC 9457).

const SENTENCES = {
  "room-not-found": "This room does not exist any more.",
  "message-not-found": "This message does not exist any more.",
  "room-not-active": "The room does not take messages now.",
  "room-busy": "A reply is being written. Stop it first.",
  "illegal-transition": "That is no longer possible: the conversation has gone on.",
  "limit-reached": "There is as much of it as there may be.",
  "idempotency-mismatch": "This message was already sent with another text.",
  unauthenticated: "Your session has ended. Sign in to go on; what you were writing is kept.",
  overloaded: "There is too much to do right now.",
  "cache-unavailable": "The live store does not answer right now.",
  "store-unavailable": "The permanent store does not answer right now.",
  network: "The server cannot be reached.",
  timeout: "The server did not answer in time.",
};

/** An expected failure of a request: an HTTP error, or no answer at all (`code` "network" or "timeout"). */
export class Problem extends Error {
  #title;

  constructor({ status = 0, code, title = "", detail = "", retryAfter = null, requestId = "", account = "" }) {
    super(detail || code);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.#title = title;
    this.detail = detail;
    /** Seconds after which it is worth trying again, or null. */
    this.retryAfter = retryAfter;
    this.requestId = requestId;
    /** Whose the sign-in code is that was not used. */
    this.account = account;
  }

  /** Whether the same request may succeed later. Without an answer it may also have succeeded already. */
  get retryable() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** One or two sentences for a person. */
  get sentence() {
    const known = SENTENCES[this.code] ?? (this.detail || "Something went wrong.");
    const wait = this.retryAfter ? ` Try again in ${Math.ceil(this.retryAfter)} s.` : "";
    const trace = this.code === "internal" && this.requestId ? ` (request ${this.requestId})` : "";
    return known + wait + trace;
  }

  /** The sentence, and what the server says beyond its general words for such a problem. */
  get whole() {
    const more = this.status !== 0 && this.code in SENTENCES && this.detail !== this.#title ? this.detail : "";
    return [this.sentence, more].filter(Boolean).join(" ");
  }

  static network(error) {
    return new Problem({ code: "network", detail: String(error?.message ?? error) });
  }

  static timeout() {
    return new Problem({ code: "timeout" });
  }

  /** From an answer that is not a success, whatever its body is (a proxy may have written it). */
  static async fromResponse(response) {
    let body = {};
    try {
      body = await response.json();
    } catch (error) {
      if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
    }
    const header = Number(response.headers.get("Retry-After"));
    return new Problem({
      status: response.status,
      code: body.code ?? `http-${response.status}`,
      title: body.title ?? response.statusText,
      detail: [body.detail ?? body.title ?? response.statusText, ...fieldErrors(body)].filter(Boolean).join(" "),
      retryAfter: body.retry_after_seconds ?? (header > 0 ? header : null),
      requestId: body.request_id ?? "",
      account: body.account_id ?? "",
    });
  }
}

function fieldErrors(body) {
  if (!Array.isArray(body.errors)) return [];
  return body.errors.map((found) => found.detail ?? found.message ?? found.msg ?? "").filter(Boolean);
}
