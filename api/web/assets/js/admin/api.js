// What operators ask: the calls below /v1/admin.

import { Api } from "../api.js";

const account = (name) => `/v1/admin/accounts/${encodeURIComponent(name)}`;

export class AdminApi extends Api {
  /** The services, the actors, and how far each shard is behind. */
  status(signal) {
    return this.call("GET", "/v1/admin/status", { signal });
  }

  listAccounts({ cursor }, signal) {
    return this.call("GET", "/v1/admin/accounts", { query: { cursor }, signal });
  }

  /** With what it has, and what it used in the last 30 days. */
  getAccount(name, signal) {
    return this.call("GET", account(name), { signal });
  }

  setDisabled(name, disabled) {
    return this.call("PATCH", account(name), { body: { disabled } });
  }

  listDeadLetters({ cursor }, signal) {
    return this.call("GET", "/v1/admin/dead-letters", { query: { cursor }, signal });
  }

  replayDeadLetter(id) {
    return this.call("POST", `/v1/admin/dead-letters/${encodeURIComponent(id)}/replay`);
  }

  dropDeadLetter(id) {
    return this.call("POST", `/v1/admin/dead-letters/${encodeURIComponent(id)}/drop`);
  }
}
