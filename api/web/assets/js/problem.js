// What went wrong, in words for a person. The API answers with problem+json (RFC 9457).

import { ClientError, Refused } from "../client/errors.js";
import { isKnown, t } from "./words.js";

/** An expected failure of a request: an HTTP error, or no answer at all (`code` "network" or "timeout"). */
export class Problem extends ClientError {
  #title;

  constructor({ status = 0, code, title = "", detail = "", retryAfter = null, requestId = "", account = "" }) {
    super(detail || code);
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

  get #key() {
    return `problem.${this.code}`;
  }

  /** Whether the page has words of its own for it. */
  get #known() {
    return isKnown(this.#key);
  }

  /** One or two sentences for a person. */
  get sentence() {
    const known = this.#known ? t(this.#key) : this.detail || t("problem.unknown");
    const wait = this.retryAfter && t("problem.wait", { seconds: Math.ceil(this.retryAfter) });
    const trace = this.code === "internal" && this.requestId && t("problem.request", { id: this.requestId });
    return [known, wait, trace].filter(Boolean).join(" ");
  }

  /** The sentence, and what the server says beyond its general words for such a problem. */
  get whole() {
    const more = this.status !== 0 && this.#known && this.detail !== this.#title ? this.detail : "";
    return [this.sentence, more].filter(Boolean).join(" ");
  }

  /** What a call's failure means. What is no failure of a call (the caller's abort, a mistake of ours) is returned as it is. */
  static of(error) {
    if (error instanceof Problem) return error;
    if (error instanceof Refused) return Problem.#refused(error);
    if (!(error instanceof ClientError)) return error;
    const late = error.cause?.name === "AbortError";
    return new Problem(late ? { code: "timeout" } : { code: "network", detail: error.message });
  }

  /** An answer that says no, whatever its body is (a proxy may have written it). */
  static #refused({ status, code, requestId, retryAfter, body }) {
    return new Problem({
      status,
      code: code || `http-${status}`,
      title: body.title ?? "",
      detail: [body.detail ?? body.title ?? "", ...fieldErrors(body)].filter(Boolean).join(" "),
      retryAfter,
      requestId: requestId ?? "",
      account: body.account_id ?? "",
    });
  }
}

function fieldErrors(body) {
  if (!Array.isArray(body.errors)) return [];
  return body.errors.map((found) => found.detail ?? found.message ?? found.msg ?? "").filter(Boolean);
}
