// Answers that no model of this room wrote: notes of the person (foreign_turns.js), which are shown as what they are.

/** Whether the message is one. */
export function isForeignAnswer(message) {
  return message.metadata?.imported?.role === "assistant";
}

/** Who said it. */
export function foreignAuthor({ metadata: { imported } }) {
  return [imported.from, imported.by].filter(Boolean).join(" · ");
}

/** What a message says, without the line that tells who said it. */
export function contentOf(message) {
  if (!isForeignAnswer(message)) return message.content;
  const lead = leadOf(message.metadata.imported);
  return message.content.startsWith(lead) ? message.content.slice(lead.length) : message.content;
}

/** How such a note begins, for whoever does not know its metadata: a model, an export. */
export function leadOf({ from, by }) {
  return `${by ? `${from} (${by})` : from}:\n\n`;
}
