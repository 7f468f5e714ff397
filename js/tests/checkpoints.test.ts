import assert from "node:assert/strict";
import { test } from "node:test";
import { stops } from "../src/widgets/checkpoints.ts";
import type { Point } from "../src/widgets/messages.ts";

const point = (number: number, parent: number, current = false, label = ""): Point => ({
  number,
  label,
  parent,
  created_at: number,
  current,
});

test("the image comes first, and is the present one where no checkpoint is", () => {
  const shown = stops([point(1, 0, false, "first")]);
  assert.deepEqual(
    shown.map((stop) => [stop.text, stop.current, stop.from]),
    [
      ["image", true, null],
      ["1 first", false, null],
    ],
  );
});

test("what does not follow its neighbour says what it follows", () => {
  const shown = stops([point(1, 0), point(2, 1), point(3, 1, true), point(4, 3), point(5, 0)]);
  assert.deepEqual(
    shown.map((stop) => stop.from),
    [null, null, null, 1, null, 0],
  );
  assert.deepEqual(
    shown.map((stop) => stop.current),
    [false, false, false, true, false, false],
  );
});
