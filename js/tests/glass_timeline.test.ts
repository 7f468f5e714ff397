import assert from "node:assert/strict";
import { test } from "node:test";
import { GlassStore } from "../src/widgets/glass_box.ts";
import type { GlassReplay, Operation, Stage } from "../src/widgets/glass_messages.ts";
import { doneOf, formatMicroseconds, runsOf, Timeline } from "../src/widgets/glass_timeline.ts";

function operation(name: string, stage: string, more: Partial<Operation> = {}): Operation {
  return {
    name,
    by: "init",
    man_page: `${name}(2)`,
    text: "",
    note: "",
    result: "ok",
    failed: false,
    duration_us: 10,
    stage,
    parts: [],
    ...more,
  };
}

const stages: Stage[] = ["namespaces", "layers", "mounts"].map((name) => ({ name, title: name, note: "" }));
const operations = [
  operation("clone", "namespaces", { parts: ["pid", "mnt"], duration_us: null }),
  operation("overlay", "layers", { parts: ["layer 0"], duration_us: 400 }),
  operation("mask", "mounts", { parts: ["hidden paths"] }),
  operation("mask", "mounts", { parts: ["hidden paths"], note: "Hides a path." }),
  operation("hostname", "namespaces", { parts: ["host name web"] }),
];
const walk = (position?: number) => new Timeline(operations, stages, position);

test("operations of one stage that follow each other are a run, and a stage may come again", () => {
  assert.deepEqual(
    runsOf(operations).map(({ stage, first, count }) => [stage, first, count]),
    [
      ["namespaces", 0, 1],
      ["layers", 1, 1],
      ["mounts", 2, 2],
      ["namespaces", 4, 1],
    ],
  );
  assert.deepEqual(runsOf([]), []);
});

test("a walk begins at the end, goes by operations and by stages, and never beyond either end", () => {
  const timeline = walk();
  assert.equal(timeline.position, 5);
  assert.ok(timeline.atEnd);
  timeline.move(1);
  assert.equal(timeline.position, 5);
  timeline.moveRun(-1);
  assert.equal(timeline.position, 4);
  timeline.moveRun(-1);
  assert.equal(timeline.position, 2);
  timeline.move(-1);
  assert.equal(timeline.current?.name, "clone");
  timeline.moveRun(-1);
  timeline.moveRun(-1);
  assert.equal(timeline.position, 0);
  assert.equal(timeline.current, null);
  timeline.move(-1);
  assert.equal(timeline.position, 0);
  timeline.moveRun(1);
  timeline.moveRun(1);
  timeline.moveRun(1);
  assert.equal(timeline.position, 4);
  timeline.goTo(99);
  assert.equal(timeline.position, 5);
});

test("the rooms of the picture are empty before their stage, lit in it, and stay", () => {
  const timeline = walk(0);
  const states = () => stages.map(({ name }) => timeline.stateOf(name));
  assert.deepEqual(states(), ["coming", "coming", "coming"]);
  timeline.move(1);
  assert.deepEqual(states(), ["now", "coming", "coming"]);
  timeline.move(1);
  assert.deepEqual(states(), ["made", "now", "coming"]);
  timeline.goTo(5);
  assert.deepEqual(states(), ["now", "made", "made"]);
  assert.equal(timeline.stateOf("devices"), null);
});

test("a room stays empty while only preparations for it are done", () => {
  const prepared = [
    operation("etc_file", "mounts"),
    operation("clone", "namespaces"),
    operation("bind", "mounts", { parts: ["/a"] }),
  ];
  const timeline = new Timeline(prepared, stages, 1);
  assert.equal(timeline.stateOf("mounts"), "now");
  timeline.move(1);
  assert.equal(timeline.stateOf("mounts"), "coming");
  timeline.move(1);
  timeline.goTo(2);
  assert.equal(timeline.stateOf("namespaces"), "now");
});

test("equal parts are counted as one, of which some may be there", () => {
  const timeline = walk(3);
  const hidden = () => timeline.partsOf("mounts").map(({ made, count, state }) => [made, count, state]);
  assert.deepEqual(hidden(), [[1, 2, "now"]]);
  timeline.goTo(2);
  assert.deepEqual(hidden(), [[0, 2, "coming"]]);
  timeline.goTo(5);
  assert.deepEqual(hidden(), [[2, 2, "made"]]);
  assert.deepEqual(
    timeline.partsOf("namespaces").map(({ label, state }) => [label, state]),
    [
      ["pid", "made"],
      ["mnt", "made"],
      ["host name web", "now"],
    ],
  );
});

test("what failed is marked in its part and in its room, once the reader is there", () => {
  const broken = [
    operations[0] as Operation,
    operation("overlay", "layers", { failed: true, result: "no space", parts: ["layer 0"] }),
  ];
  const timeline = new Timeline(broken, stages);
  assert.equal(timeline.stateOf("layers"), "failed");
  assert.deepEqual(
    timeline.partsOf("layers").map(({ state }) => state),
    ["failed"],
  );
  timeline.move(-1);
  assert.equal(timeline.stateOf("layers"), "coming");
});

test("a search looks at names, pages, arguments, notes and results, and stages choose", () => {
  const timeline = walk();
  const none = new Set<string>();
  assert.deepEqual(timeline.found(none, ""), [0, 1, 2, 3, 4]);
  assert.deepEqual(timeline.found(none, "CLONE(2"), [0]);
  assert.deepEqual(timeline.found(none, " hides "), [3]);
  assert.deepEqual(timeline.found(new Set(["namespaces"]), ""), [0, 4]);
  assert.deepEqual(timeline.found(new Set(["namespaces"]), "host"), [4]);
  assert.deepEqual(timeline.found(none, "nowhere"), []);
});

test("bars tell how long operations took; those without a time have none", () => {
  const timeline = walk();
  assert.equal(timeline.share(operations[1] as Operation), 1);
  assert.equal(timeline.share(operations[0] as Operation), 0);
  assert.ok(timeline.share(operations[2] as Operation) > 10 / 400);
  assert.equal(formatMicroseconds(7), "7 µs");
  assert.equal(formatMicroseconds(1200), "1.2 ms");
  assert.equal(formatMicroseconds(42_000), "42 ms");
  assert.equal(formatMicroseconds(3_000_000), "3 s");
});

const replay = (done: number, step: GlassReplay["step"]): GlassReplay => ({
  explained: {
    name: "web",
    summary: "",
    planned: false,
    made: done === operations.length,
    docker: "",
    shell: "",
    stages,
    operations: operations.map((one, index) => ({ ...one, result: index < done ? "ok" : "planned" })),
  },
  step,
});

test("a container that is made step by step is shown as far as it is, and one that was made whole", () => {
  const waiting = { status: "waiting", stage: "mounts", pid: 7, look: [], failure: null } as const;
  const first = { code: "", replay: { seq: 0, now: 0, data: replay(2, { ...waiting, look: [] }) } };
  const store = new GlassStore({ send: () => {} }, first);
  assert.equal(store.timeline.position, 2);
  store.update(replay(4, { ...waiting, look: [] }));
  assert.equal(store.timeline.position, 4);
  store.update(replay(5, { ...waiting, look: [], status: "running" }));
  assert.equal(store.timeline.position, 5);
  assert.equal(doneOf(operations), 5);
});
