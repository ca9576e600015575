// A course over time as a line, without a library.

import { element } from "../element.js";
import { SPAN_MS } from "./looks.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 100;
/** Milliseconds without a look after which the line is broken: nobody knows what was in between. */
const GAP_MS = 15_000;

/** The least 1, 2 or 5 times a power of ten that is not below `value`, and never below 1. */
export function ceiling(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((found) => found >= value);
}

/** The unbroken pieces of a course, as points of the drawing. */
export function pieces(points, now, most) {
  const found = [];
  points.forEach(({ at, value }, index) => {
    if (index === 0 || at - points[index - 1].at > GAP_MS) found.push([]);
    const x = WIDTH * (1 - (now - at) / SPAN_MS);
    found.at(-1).push([x.toFixed(1), (HEIGHT * (1 - value / most)).toFixed(1)]);
  });
  return found;
}

function path(className, d) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("class", className);
  made.setAttribute("d", d);
  return made;
}

/** Draws a course into a drawing, from 0 to `most`. */
export function draw(drawing, points, now, most, { area = true } = {}) {
  const paths = [];
  for (const piece of pieces(points, now, most)) {
    const line = `M${piece.map((point) => point.join(" ")).join("L")}`;
    if (area) paths.push(path("chart-area", `${line}V${HEIGHT}H${piece[0][0]}Z`));
    paths.push(path("chart-line", line));
  }
  drawing.replaceChildren(...paths);
}

/** An empty drawing; without a label it is for the eye alone. */
export function drawing(className, label = null) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  made.setAttribute("preserveAspectRatio", "none");
  made.setAttribute("class", className);
  if (label === null) made.setAttribute("aria-hidden", "true");
  else {
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", label);
  }
  return made;
}

/** A chart with its name, the present value, and how high it goes. */
export class Chart {
  #value = element("span", { className: "chart-value", textContent: "–" });
  #about = element("span");
  #most = element("span");
  #drawing;
  #number;
  #label;

  /** `number` writes a value; `label(value, most)` says in words what the line shows. */
  constructor({ title, number, label }) {
    this.#number = number;
    this.#label = label;
    this.#drawing = drawing("chart-drawing", title);
    const caption = element("figcaption", {}, title, this.#value, this.#about);
    this.element = element("figure", { className: "chart" }, caption, this.#drawing, this.#foot());
  }

  show(value, points, now, about = "") {
    const most = ceiling(Math.max(0, ...points.map((point) => point.value)));
    this.#value.textContent = value === null ? "–" : this.#number(value);
    this.#about.textContent = about;
    this.#most.textContent = this.#label.most(this.#number(most));
    this.#drawing.setAttribute("aria-label", this.#label.whole(this.#value.textContent, this.#number(most)));
    draw(this.#drawing, points, now, most);
  }

  #foot() {
    return element("div", { className: "chart-foot" }, element("span", { textContent: this.#label.span }), this.#most);
  }
}
