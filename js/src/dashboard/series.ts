// The figures of one container over time, and how they are laid out for a chart. Knows no document.

import type { Point } from "./messages.ts";

const HOUR_S = 3600;
const RECENT_KEPT = 120;
const WHOLE_KEPT = 4200;
/** How long a figure holds where none came: samples are ten seconds apart while nobody looks. */
const HOLD_S = 15;

/** Which figure of a point: its place after the time. */
export const CPU = 1;
export const MEMORY = 2;
export const RECEIVED = 3;
export const SENT = 4;
export const READ = 5;
export const WRITTEN = 6;
export const PIDS = 7;

export class Series {
  points: Point[] = [];
  /** Whether the whole hour is here, or only the last minutes. */
  whole = false;

  replace(points: Point[], whole: boolean): void {
    const last = points.at(-1)?.[0] ?? 0;
    // what came meanwhile is newer
    this.points = [...points, ...this.points.filter(([time]) => time > last)];
    this.whole = whole;
  }

  add(point: Point): void {
    const last = this.points.at(-1);
    if (last && point[0] <= last[0]) return;
    this.points.push(point);
    const kept = this.whole ? WHOLE_KEPT : RECENT_KEPT;
    if (this.points.length > kept * 1.25) this.points = this.points.slice(-kept);
    const first = this.points[0];
    if (first && first[0] < point[0] - HOUR_S * 1.1)
      this.points = this.points.filter(([time]) => time >= point[0] - HOUR_S);
  }

  get last(): Point | undefined {
    return this.points.at(-1);
  }

  /** Time has gone on and nothing has changed: the last figures are those of now as well. */
  hold(time: number): void {
    const { last } = this;
    if (last) this.add([time, ...last.slice(1)]);
  }
}

/**
 * One figure at `count` moments, `step` seconds apart and the last one at `end`: the mean of what came in between, else the last that is
 * not too old, else null.
 */
export function resample(
  points: readonly Point[],
  figure: number,
  end: number,
  step: number,
  count: number,
): (number | null)[] {
  const values: (number | null)[] = [];
  let next = firstAfter(points, end - count * step - HOLD_S);
  let known: number | null = null;
  let knownAt = Number.NEGATIVE_INFINITY;
  for (let slot = count - 1; slot >= 0; slot--) {
    const until = end - slot * step + 1e-6;
    let sum = 0;
    let number = 0;
    for (let point = points[next]; point && point[0] <= until; point = points[++next]) {
      const value = point[figure] as number | null | undefined;
      known = value ?? null;
      knownAt = point[0];
      if (known === null || point[0] <= until - step) continue;
      sum += known;
      number += 1;
    }
    values.push(number ? sum / number : until - knownAt <= Math.max(HOLD_S, step) ? known : null);
  }
  return values;
}

function firstAfter(points: readonly Point[], time: number): number {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points[middle] as Point)[0] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What is left of the values of the curve's left side where nothing is known is cut off, so that a young curve can be seen. */
export function trimmed(values: (number | null)[], least: number): (number | null)[] {
  const first = values.findIndex((value) => value !== null);
  return first < 0 ? values.slice(-least) : values.slice(Math.min(first, Math.max(0, values.length - least)));
}
