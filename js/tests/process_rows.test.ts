import assert from "node:assert/strict";
import { test } from "node:test";
import { letters } from "../src/widgets/glass_sharing.ts";
import type { Process, Thread } from "../src/widgets/live_messages.ts";
import { LiveStore } from "../src/widgets/live_store.ts";
import { linesOf } from "../src/widgets/process_rows.ts";

function process(pid: number, parent: number, depth: number, command: string, threads: Thread[] = []): Process {
  return {
    pid,
    inside: pid,
    parent,
    depth,
    user: "root",
    user_outside: "me",
    state: "sleeping",
    cpu: 0,
    memory: 0,
    thread_count: Math.max(1, threads.length),
    threads,
    namespaces: [],
    ports: command === "server" ? ["80/tcp"] : [],
    command,
  };
}

const threads: Thread[] = [
  [2, "main", "sleeping", 0],
  [5, "pool", "running", 1],
];
const tree = [
  process(1, 0, 0, "init"),
  process(2, 1, 1, "server", threads),
  process(3, 2, 2, "worker"),
  process(4, 1, 1, "cron"),
];
const nothing = { folded: new Set<number>(), threads: new Set<number>(), text: "" };
const keys = (chosen: Partial<typeof nothing>) => linesOf(tree, { ...nothing, ...chosen }).map(({ key }) => key);

test("all processes are shown, and who has children is known", () => {
  const lines = linesOf(tree, nothing);
  assert.deepEqual(keys({}), ["1", "2", "3", "4"]);
  assert.deepEqual(
    lines.map(({ parent }) => parent),
    [true, true, false, false],
  );
});

test("what is folded hides all below it, and nothing beside it", () => {
  assert.deepEqual(keys({ folded: new Set([2]) }), ["1", "2", "4"]);
  assert.deepEqual(keys({ folded: new Set([1]) }), ["1"]);
});

test("threads stand below their process, before its children", () => {
  assert.deepEqual(keys({ threads: new Set([2]) }), ["1", "2", "2:2", "2:5", "3", "4"]);
  assert.deepEqual(keys({ threads: new Set([2]), folded: new Set([2]) }), ["1", "2", "2:2", "2:5", "4"]);
});

test("what is found keeps its ancestors, also where they are folded", () => {
  assert.deepEqual(keys({ text: "worker" }), ["1", "2", "3"]);
  assert.deepEqual(keys({ text: " CRON ", folded: new Set([1]) }), ["1", "4"]);
  assert.deepEqual(keys({ text: "80/tcp" }), ["1", "2"]);
  assert.deepEqual(keys({ text: "pool" }), ["1", "2"]);
  assert.deepEqual(keys({ text: "no such thing" }), []);
});

test("a store keeps parts by name and forgets those that are gone", () => {
  const state = { status: "live", failure: null } as const;
  const replay = { name: "web", state, parts: { changed: { one: 1, two: 2 }, gone: [] } };
  const store = new LiveStore({ send() {} }, { code: "", replay: { seq: 0, now: 0, data: replay } });
  const update = (seq: number, data: object) => store.channel.take({ kind: "update", seq, now: 0, data });
  update(1, { parts: { changed: { two: 22 }, gone: ["one"] } });
  assert.equal(store.part("one"), undefined);
  assert.equal(store.part("two"), 22);
  update(2, { state: { status: "ended", failure: null } });
  assert.equal(store.state.status, "ended");
  store.replay({ ...replay, parts: { changed: { three: 3 }, gone: [] } });
  assert.deepEqual([...store.parts.keys()], ["three"]);
});

test("namespaces have letters as in the text form", () => {
  assert.deepEqual([0, 1, 26, 27, 52, 53].map(letters), ["", " a", " z", " aa", " az", " ba"]);
});
