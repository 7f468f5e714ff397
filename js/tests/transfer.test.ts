import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToKernel, TransferLayer, TransferPhase } from "../src/widgets/messages.ts";
import { layerAmount, layerShare, layerWords, sumOf, sumWords, TransferStore } from "../src/widgets/transfer.ts";

const layer = (id: string, phase: TransferPhase, current = 0, total = -1, more: Partial<TransferLayer> = {}) => ({
  id,
  phase,
  current,
  total,
  rate: 0,
  source: "",
  ...more,
});

// a layer, what is said of it in a pull, its bytes, how much of it is there
const rows: [TransferLayer, string, string, number | null][] = [
  [layer("a", "waiting", 0, 100), "waiting", "0 B of 100 B", 0],
  [layer("a", "downloading", 1_500, 3_000), "downloading", "1.5 kB of 3 kB", 0.5],
  [layer("a", "downloading", 1_500, -1), "downloading", "1.5 kB", null],
  [layer("a", "unpacking", 3_000, 3_000), "unpacking", "3 kB of 3 kB", 1],
  [layer("a", "done", 3_000, 3_000), "pulled", "3 kB", 1],
  [layer("a", "exists"), "exists already", "", 1],
  [layer("a", "mounted", 0, 9, { source: "team/base" }), "mounted from team/base", "", 1],
  [layer("a", "stopped", 10, 40), "stopped", "10 B of 40 B", 0.25],
  [layer("a", "preparing", 10, 40), "preparing", "10 B of 40 B", 0],
  [layer("a", "loading", 0, 0), "loading", "0 B of 0 B", 1],
  [layer("", "importing", 50, 40), "importing", "50 B of 40 B", 1],
];

for (const [value, words, amount, share] of rows)
  test(`a layer that is ${value.phase}, with ${value.current} of ${value.total} bytes`, () => {
    assert.equal(layerWords("pull", value), words);
    assert.equal(layerAmount(value), amount);
    assert.equal(layerShare(value), share);
  });

test("what is there already counts as a layer and not as bytes", () => {
  const sum = sumOf([layer("a", "done", 2_000, 2_000), layer("b", "exists"), layer("c", "downloading", 500, 1_000)]);
  assert.deepEqual(sum, { ready: 2, count: 3, current: 2_500, total: 3_000 });
  assert.equal(sumWords(sum, 1_000), "2 of 3 layers · 2.5 kB of 3 kB · 1 kB/s");
});

test("a size that is not known makes that of all unknown", () => {
  const sum = sumOf([layer("a", "downloading", 10, -1), layer("b", "downloading", 5, 20)]);
  assert.deepEqual(sum, { ready: 0, count: 2, current: 15, total: -1 });
  assert.equal(sumWords(sum, 0), "0 of 2 layers · 15 B");
});

test("an archive without a name is no layer", () => {
  assert.equal(sumWords(sumOf([layer("", "importing", 10, 40)]), 0), "10 B of 40 B");
  assert.equal(sumWords(sumOf([]), 0), "");
});

test("layers keep their order, and a replay forgets what is gone", () => {
  const sent: ToKernel[] = [];
  const transfer = {
    verb: "pull" as const,
    name: "it",
    status: "running" as const,
    started_at: 0,
    duration_s: null,
    rate: 0,
    failure: null,
  };
  const replay = { transfer, layers: [layer("a", "waiting"), layer("b", "waiting")] };
  const store = new TransferStore(
    { send: (content) => sent.push(content) },
    { code: "", replay: { seq: 0, now: 0, data: replay } },
  );
  store.channel.take({ kind: "update", seq: 1, now: 0, data: { layers: [layer("b", "done"), layer("c", "exists")] } });
  store.channel.take({ kind: "update", seq: 2, now: 0, data: { layers: [layer("a", "done")] } });
  assert.deepEqual(
    [...store.layers.values()].map(({ id, phase }) => [id, phase]),
    [
      ["a", "done"],
      ["b", "done"],
      ["c", "exists"],
    ],
  );
  store.channel.take({
    kind: "replay",
    seq: 5,
    now: 0,
    data: { transfer: { ...transfer, status: "done" }, layers: [] },
  });
  assert.equal(store.layers.size, 0);
  assert.equal(store.transfer?.status, "done");
});
