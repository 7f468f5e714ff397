import assert from "node:assert/strict";
import { test } from "node:test";
import { curve, height, nearest, niceCeiling, niceMemoryCeiling } from "../src/widgets/sparkline.ts";

const box = { width: 100, height: 50, margin: 5 };
const MIB = 2 ** 20;

for (const [value, unit, top] of [
  [0, 10, 10],
  [3, 10, 5],
  [10, 10, 10],
  [10.1, 10, 20],
  [21, 10, 25],
  [99, 10, 100],
  [130, 10, 200],
  [800, 10, 1000],
  [Number.NaN, 10, 10],
] as const) {
  test(`a scale for ${value} in steps of ${unit} ends at ${top}`, () => assert.equal(niceCeiling(value, unit), top));
}

test("a scale of memory ends at a round number of its unit", () => {
  assert.equal(niceMemoryCeiling(0), MIB);
  assert.equal(niceMemoryCeiling(73 * MIB), 100 * MIB);
  assert.equal(niceMemoryCeiling(1.2 * 1024 * MIB), 2 * 1024 * MIB);
});

test("the newest value is at the right edge and the oldest of a full window at the left", () => {
  const [run] = curve([0, 5, 10], 3, 10, box);
  assert.deepEqual(run, [
    { x: 0, y: 45 },
    { x: 50, y: 25 },
    { x: 100, y: 5 },
  ]);
});

test("a window that is not full leaves its left side empty, and more values than it holds are left out", () => {
  assert.equal(curve([1], 3, 10, box)[0]?.[0]?.x, 100);
  assert.equal(curve([1, 2, 3, 4], 3, 10, box)[0]?.length, 3);
});

test("a missing value interrupts the curve", () => {
  assert.deepEqual(
    curve([1, null, 2, 3], 4, 10, box).map((run) => run.length),
    [1, 2],
  );
});

test("values beyond the scale stay at its edge", () => {
  assert.equal(height(99, 10, box), 5);
  assert.equal(height(-1, 10, box), 45);
  assert.equal(height(1, 0, box), 45);
});

test("the pointer finds the nearest value", () => {
  assert.equal(nearest(100, 3, 3, 100), 0);
  assert.equal(nearest(48, 3, 3, 100), 1);
  assert.equal(nearest(0, 2, 3, 100), -1);
});
