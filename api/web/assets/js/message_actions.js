// What can be done with a message, in the order of the buttons; a later action is one more entry.

import { confirm } from "./dialog.js";
import { copy } from "./enrich.js";
import { isForeignAnswer } from "./foreign_answer.js";
import { choosePersona } from "./menu.js";
import { t } from "./words.js";

/** How replies end that can be continued. */
const UNFINISHED = new Set(["length", "stopped", "error", "interrupted"]);

/**
 * `transcript` takes what the answers say, `viewOf(message)` is its place on the page, and `attempt(task)` does what a
 * person asked for: it shows a problem, with a way to try again. `onBegun()` hears that a reply begins anew;
 * `personas()` are those that can answer. `onBranch(message, text)` goes on in a new room: behind the message, or with
 * another text in its place.
 */
export function messageActions({ api, roomId, transcript, viewOf, attempt, onBegun, onBranch, personas }) {
  const mine = (message) => message.sender_type === "USER";
  const written = (message) => mine(message) && !isForeignAnswer(message);
  return [
    {
      name: "copy",
      label: t("message.copy"),
      icon: "copy",
      // The clipboard is there on https and localhost only.
      when: (message) => !message.open && message.content !== "" && !!navigator.clipboard,
      run: (message, button) => copy(viewOf(message).text, button),
    },
    {
      name: "continue",
      label: t("message.continue"),
      icon: "onward",
      when: (message) => message.revisable && !mine(message) && UNFINISHED.has(message.finish_reason),
      run: (message) => beginNext(message, () => api.continueReply(roomId, message.message_id)),
    },
    {
      name: "regenerate",
      label: t("message.regenerate"),
      icon: "again",
      when: (message) => message.revisable && !mine(message),
      run: (message) => beginNext(message, () => api.regenerate(roomId, message.message_id)),
    },
    {
      name: "regenerate-by",
      label: t("message.regenerate-by"),
      icon: "people",
      when: (message) => message.revisable && !mine(message) && personas().length > 1,
      run: (message, button) =>
        choosePersona(button, personas(), message.ai_persona, (name) =>
          beginNext(message, () => api.regenerate(roomId, message.message_id, { ai_persona: name })),
        ),
    },
    {
      name: "edit",
      label: t("message.edit"),
      icon: "pencil",
      when: (message) => written(message) && (message.revisable || !message.open),
      run: (message) => {
        if (message.revisable) viewOf(message).edit((text) => edit(message, text));
        else viewOf(message).edit((text) => onBranch(message, text), t("message.edit.branch"));
      },
    },
    {
      name: "branch",
      label: t("message.branch"),
      icon: "branch",
      when: (message) => !message.open && !message.waits && !message.revisable,
      run: (message) => attempt(() => onBranch(message, null)),
    },
    {
      name: "withdraw",
      label: t("message.withdraw"),
      icon: "withdraw",
      when: (message) => message.waits,
      run: (message) =>
        remove(message, {
          heading: t("message.withdraw.heading"),
          text: t("message.withdraw.text"),
          button: t("message.withdraw.button"),
        }),
    },
    {
      name: "delete",
      label: t("message.delete"),
      icon: "trash",
      when: (message) => !message.waits,
      run: (message) =>
        remove(message, {
          heading: t("message.delete.heading"),
          text: t(message.open ? "message.delete.running" : "message.delete.text"),
          button: t("delete"),
        }),
    },
  ];

  /** The reply's next attempt, which `ask()` asks for. */
  function beginNext(message, ask) {
    const known = message.attempt;
    return attempt(async () => {
      // When this is a second try, the first one may have come through after all.
      if (message.attempt === known) transcript.take((await ask()).asked);
      onBegun();
    });
  }

  async function edit(message, text) {
    if (text === message.content) return;
    const { reply, ...edited } = await api.edit(roomId, message.message_id, text);
    transcript.take(edited);
    if (!reply) return;
    transcript.take(reply);
    if (!message.waits) onBegun();
  }

  function remove(message, words) {
    return confirm(words, async () => {
      const { state } = await api.deleteMessage(roomId, message.message_id);
      // At once; the event follows.
      transcript.take({ ...message, state });
    });
  }
}
