// Numbers as the reader's own language writes them.

import { language } from "../words.js";

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(language, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const money = new Intl.NumberFormat(language, { maximumFractionDigits: 2, minimumFractionDigits: 2 });

export const count = (value) => whole.format(value);
/** Small ones with their tenths, which would else all be 0. */
export const perSecond = (value) => (value < 100 && !Number.isInteger(value) ? tenths : whole).format(value);
export const seconds = (value) => tenths.format(value);
export const cost = (value) => money.format(value);
