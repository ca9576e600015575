// What runs now: charts of the whole, the actors, the shards.

import { byId, element } from "../element.js";
import { t } from "../words.js";
import { Chart, ceiling, draw, drawing } from "./chart.js";
import { Looks } from "./looks.js";
import { count, perSecond, seconds } from "./numbers.js";

const CHARTS = { rooms: count, sends: perSecond, replies: count, lag: count };

export class StatusView {
  #looks = new Looks();
  #charts = new Map();

  constructor() {
    for (const [name, number] of Object.entries(CHARTS)) this.#charts.set(name, chart(name, number));
    byId("charts").replaceChildren(...[...this.#charts.values()].map((made) => made.element));
  }

  show(status, now) {
    const shown = this.#looks.add(status, now);
    byId("connection").hidden = true;
    const silent = shown.actors.filter((actor) => !actor.alive).length;
    const wrong = shown.wrong.length + silent;
    say(wrong ? t("admin.wrong", { count: wrong }) : t("admin.well", { actors: shown.actors.length }));
    byId("wrong").hidden = !shown.wrong.length;
    byId("wrong").replaceChildren(
      ...shown.wrong.map(([name, state]) => element("li", { textContent: `${name}: ${state}`, data: { foreign: "" } })),
    );
    for (const [name, made] of this.#charts) made.show(shown[name], this.#looks.course(name), now, about(name, shown));
    byId("actors").replaceChildren(...inOrder(shown.actors).map((actor) => this.#actor(actor, now)));
    byId("shards").replaceChildren(...shown.shards.map(shard));
  }

  /** The last picture stays. */
  showProblem(problem) {
    byId("connection").textContent = problem.sentence;
    byId("connection").hidden = false;
  }

  #actor(actor, now) {
    const state = stateOf(actor);
    const row = element(
      "tr",
      {},
      element("th", { scope: "row", textContent: actor.name, data: { foreign: "" } }),
      stateCell(state.wrong, state.text, actor.trouble),
      number(actor.isRooms, actor.rooms, count),
      number(actor.isRooms, actor.sendsPerSecond, perSecond),
      number(actor.isRooms, actor.replies, count),
      number(actor.isWriter, actor.storedPerSecond, perSecond),
      number(actor.isWriter, actor.lag_entries, count),
      element("td"),
    );
    row.dataset.actor = actor.name;
    const points = this.#looks.course(`actor/${actor.name}`);
    if (points.length) {
      const course = drawing("course");
      draw(course, points, now, ceiling(Math.max(...points.map((point) => point.value))), { area: false });
      row.lastChild.append(course);
    }
    return row;
  }
}

function chart(name, shown) {
  const title = t(`admin.chart.${name}`);
  const label = {
    span: t("admin.chart.span"),
    most: (most) => t("admin.chart.most", { most }),
    whole: (value, most) => t("admin.chart.whole", { title, value, most }),
  };
  return new Chart({ title, number: shown, label });
}

function about(name, shown) {
  return name === "lag" ? t("admin.chart.lag.oldest", { seconds: seconds(shown.lagSeconds) }) : "";
}

/** Said once, not with every look. */
function say(text) {
  if (byId("state").textContent !== text) byId("state").textContent = text;
}

function number(applies, value, written) {
  const textContent = !applies ? "" : value === null ? "–" : written(value);
  return element("td", { className: "number", textContent });
}

/** A trouble is in the server's own words. */
function stateCell(wrong, textContent, trouble) {
  return element("td", { textContent, className: wrong ? "is-wrong" : "", data: trouble ? { foreign: "" } : {} });
}

/** What is wrong comes first, then who does most. */
function inOrder(actors) {
  const busy = (actor) => (actor.sendsPerSecond ?? 0) + (actor.storedPerSecond ?? 0);
  return [...actors].sort(
    (one, two) =>
      stateOf(two).wrong - stateOf(one).wrong ||
      busy(two) - busy(one) ||
      two.rooms - one.rooms ||
      one.name.localeCompare(two.name),
  );
}

function stateOf({ alive, pid, leaving, started, trouble }) {
  if (!alive) return { wrong: true, text: t(pid ? "admin.silent" : "admin.waits") };
  if (leaving) return { wrong: false, text: t("admin.leaving") };
  if (trouble) return { wrong: true, text: trouble };
  return { wrong: false, text: t(started ? "admin.ok" : "admin.starting") };
}

function shard({ shard: name, lag_entries: waiting, lag_seconds: oldest, dead_letters: dead, trouble }) {
  return element(
    "tr",
    {},
    element("th", { scope: "row", textContent: String(name) }),
    stateCell(Boolean(trouble), trouble || t("admin.ok"), trouble),
    number(true, waiting, count),
    number(true, oldest, (value) => t("admin.seconds", { seconds: seconds(value) })),
    element("td", { className: dead ? "number is-wrong" : "number", textContent: count(dead) }),
  );
}
