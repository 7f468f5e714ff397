import assert from "node:assert/strict";
import { test } from "node:test";
import { Ring } from "../src/widgets/ring.ts";

test("a ring keeps the last things and their positions", () => {
  const ring = new Ring<number>(3);
  for (let value = 0; value < 5; value++) ring.push(value);
  assert.deepEqual([...ring], [2, 3, 4]);
  assert.deepEqual([ring.first, ring.end, ring.size], [2, 5, 3]);
  assert.equal(ring.at(3), 3);
  assert.equal(ring.last, 4);
});

test("what is gone and what has not come is undefined", () => {
  const ring = new Ring<string>(2);
  assert.equal(ring.last, undefined);
  ring.push("a");
  ring.push("b");
  ring.push("c");
  assert.equal(ring.at(0), undefined);
  assert.equal(ring.at(3), undefined);
});

test("positions go on after a ring is cleared", () => {
  const ring = new Ring<number>(2);
  for (const value of [1, 2, 3]) ring.push(value);
  ring.clear();
  assert.deepEqual([ring.first, ring.end], [3, 3]);
  ring.push(9);
  assert.equal(ring.at(3), 9);
});
