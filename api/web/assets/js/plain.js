// Text that a person decides by, as it is: what would turn it around, or hide in it, is written out.

/** Characters that have no look of their own and change that of others. */
const HIDDEN = /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0e\ufeff]|[\u{e0000}-\u{e01ef}]/gu;

export function plain(text) {
  return text.replace(HIDDEN, (found) => `\\u{${found.codePointAt(0).toString(16)}}`);
}
