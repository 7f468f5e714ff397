// The arithmetic of a small chart: scales and points. Knows no canvas.

export interface Point {
  x: number;
  y: number;
}

export interface Box {
  width: number;
  height: number;
  /** Space that stays free above and below the curve. */
  margin: number;
}

/** The smallest of 1, 2, 2.5, 5 × 10ⁿ (times `unit`) that is not below `value`: the top of a scale that changes rarely. */
export function niceCeiling(value: number, unit = 1): number {
  if (!(value > 0) || !Number.isFinite(value)) return unit;
  const scaled = value / unit;
  const power = 10 ** Math.floor(Math.log10(scaled));
  for (const step of [1, 2, 2.5, 5, 10]) if (scaled <= step * power * (1 + 1e-9)) return step * power * unit;
  return 10 * power * unit;
}

/** The smallest 1, 2 or 5 × 2¹⁰ⁿ × 10ᵐ bytes not below `bytes`, so that a scale of memory reads well; at least 1 MiB. */
export function niceMemoryCeiling(bytes: number): number {
  let unit = 2 ** 20;
  while (bytes > 1000 * unit) unit *= 1024;
  return niceCeiling(bytes, unit);
}

/**
 * Runs of points for `values`, the newest at the right edge, `capacity` of them across the box; null values interrupt the curve.
 * `top` is the value at the upper edge.
 */
export function curve(values: readonly (number | null)[], capacity: number, top: number, box: Box): Point[][] {
  const step = box.width / Math.max(1, capacity - 1);
  const shown = values.slice(-capacity);
  const runs: Point[][] = [];
  let run: Point[] = [];
  shown.forEach((value, index) => {
    if (value === null || !Number.isFinite(value)) {
      if (run.length) runs.push(run);
      run = [];
      return;
    }
    run.push({ x: box.width - (shown.length - 1 - index) * step, y: height(value, top, box) });
  });
  if (run.length) runs.push(run);
  return runs;
}

/** Where `value` stands in the box, from above; values beyond the scale stay at its edge. */
export function height(value: number, top: number, box: Box): number {
  const share = Math.min(1, Math.max(0, top > 0 ? value / top : 0));
  return box.height - box.margin - share * (box.height - 2 * box.margin);
}

/** The value nearest to `x`, as an index from the end of the values (0 is the newest), or -1 where there is none. */
export function nearest(x: number, count: number, capacity: number, width: number): number {
  const step = width / Math.max(1, capacity - 1);
  const back = Math.round((width - x) / step);
  return back >= 0 && back < Math.min(count, capacity) ? back : -1;
}
