// What can be done with a message, in the order of the buttons; a later action is one more entry.

import { confirm } from "./dialog.js";
import { copy } from "./enrich.js";

/** How replies end that can be continued. */
const UNFINISHED = new Set(["length", "stopped", "error", "interrupted"]);

/**
 * `transcript` takes what the answers say, `viewOf(message)` is its place on the page, and `attempt(task)` does what a
 * person asked for: it shows a problem, with a way to try again. `onBegun()` hears that a reply begins anew.
 */
export function messageActions({ api, roomId, transcript, viewOf, attempt, onBegun }) {
  const mine = (message) => message.sender_type === "USER";
  return [
    {
      name: "copy",
      label: "Copy the text",
      icon: "copy",
      // The clipboard is there on https and localhost only.
      when: (message) => !message.open && message.content !== "" && !!navigator.clipboard,
      run: (message, button) => copy(viewOf(message).text, button),
    },
    {
      name: "continue",
      label: "Continue the answer",
      icon: "onward",
      when: (message) => message.revisable && !mine(message) && UNFINISHED.has(message.finish_reason),
      run: (message) => beginNext(message, () => api.continueReply(roomId, message.message_id)),
    },
    {
      name: "regenerate",
      label: "Answer again",
      icon: "again",
      when: (message) => message.revisable && !mine(message),
      run: (message) => beginNext(message, () => api.regenerate(roomId, message.message_id)),
    },
    {
      name: "edit",
      label: "Edit the message",
      icon: "pencil",
      when: (message) => message.revisable && mine(message),
      run: (message) => {
        viewOf(message).edit(async (text) => {
          if (text === message.content) return;
          const { reply, ...edited } = await api.editMessage(roomId, message.message_id, text);
          transcript.take(edited);
          if (!reply) return;
          transcript.take(reply);
          if (!message.waits) onBegun();
        });
      },
    },
    {
      name: "withdraw",
      label: "Withdraw the message",
      icon: "withdraw",
      when: (message) => message.waits,
      run: (message) =>
        remove(message, {
          heading: "Withdraw this message?",
          text: "It goes from the room and is not answered.",
          button: "Withdraw",
        }),
    },
    {
      name: "delete",
      label: "Delete the message",
      icon: "trash",
      when: (message) => !message.waits,
      run: (message) =>
        remove(message, {
          heading: "Delete this message?",
          text: message.open ? "The reply is stopped and deleted." : "The message is deleted for good.",
          button: "Delete",
        }),
    },
  ];

  /** The reply's next attempt, which `ask()` asks for. */
  function beginNext(message, ask) {
    const known = message.attempt;
    return attempt(async () => {
      // When this is a second try, the first one may have come through after all.
      if (message.attempt === known) transcript.take(await ask());
      onBegun();
    });
  }

  function remove(message, words) {
    return confirm(words, async () => {
      const { state } = await api.deleteMessage(roomId, message.message_id);
      // At once; the event follows.
      transcript.take({ ...message, state });
    });
  }
}
