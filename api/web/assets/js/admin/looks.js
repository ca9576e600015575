// What the answers of /v1/admin/status say one after the other: rates, and the course of the last minutes.

/** Milliseconds that a chart shows. */
export const SPAN_MS = 600_000;

/** What an actor did in a second between two looks; null at its first. A new process counts from 0. */
function rate(field, now, then, seconds) {
  if (!then || seconds <= 0) return null;
  const known = then.pid === now.pid ? then[field] : 0;
  return Math.max(0, now[field] - known) / seconds;
}

function total(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

export class Looks {
  #before = null;
  #courses = new Map();

  /** Takes an answer that came at `at` (milliseconds) and returns what there is to show. */
  add(status, at) {
    const earlier = new Map((this.#before?.actors ?? []).map((actor) => [actor.name, actor]));
    const seconds = this.#before ? (at - this.#before.at) / 1000 : 0;
    const actors = status.actors.map((actor) => {
      const then = earlier.get(actor.name);
      const perSecond = (field) => rate(field, actor, then, seconds);
      const isRooms = actor.kind === "RoomActor";
      const isWriter = actor.kind === "ShardWriter";
      const sendsPerSecond = isRooms ? perSecond("sends") : null;
      const repliesPerSecond = isRooms ? perSecond("replied") : null;
      const storedPerSecond = isWriter ? perSecond("committed") : null;
      return { ...actor, isRooms, isWriter, sendsPerSecond, repliesPerSecond, storedPerSecond };
    });
    const shown = {
      actors,
      shards: status.shards,
      wrong: Object.entries(status.services).filter(([, state]) => state !== "ok"),
      rooms: total(actors.map((actor) => actor.rooms)) ?? 0,
      sends: total(actors.map((actor) => actor.sendsPerSecond)),
      replies: total(actors.map((actor) => actor.replies)) ?? 0,
      lag: total(status.shards.map((shard) => shard.lag_entries)) ?? 0,
      lagSeconds: Math.max(0, ...status.shards.map((shard) => shard.lag_seconds)),
    };
    for (const name of ["rooms", "sends", "replies", "lag"]) this.#note(name, shown[name], at);
    for (const actor of actors) this.#note(`actor/${actor.name}`, actor.sendsPerSecond ?? actor.storedPerSecond, at);
    this.#forget(at);
    this.#before = { actors: status.actors, at };
    return shown;
  }

  /** The points `{ at, value }` of a total, or of `actor/NAME`. */
  course(name) {
    return this.#courses.get(name) ?? [];
  }

  #note(name, value, at) {
    if (value === null) return;
    if (!this.#courses.has(name)) this.#courses.set(name, []);
    this.#courses.get(name).push({ at, value });
  }

  #forget(at) {
    for (const [name, points] of this.#courses) {
      const kept = points.filter((point) => point.at >= at - SPAN_MS);
      if (kept.length) this.#courses.set(name, kept);
      else this.#courses.delete(name);
    }
  }
}
