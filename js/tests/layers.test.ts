import assert from "node:assert/strict";
import { test } from "node:test";
import { foundLines, holds, type Line, parentOf, TreeState, treeLines } from "../src/widgets/file_tree.ts";
import type { Answer, FileRow, LayerReplay, Question } from "../src/widgets/layer_messages.ts";
import { shares } from "../src/widgets/layer_stack.ts";
import { LayerStore } from "../src/widgets/layer_store.ts";
import type { ToKernel } from "../src/widgets/messages.ts";

const replay: LayerReplay = {
  image: { id: "sha256:c0ffee", name: "app", size_bytes: 3, layers: [], others: [] },
  changes: [[0, 1, 2, 3]],
  wasted: null,
  comparison: null,
  failure: null,
};

function open() {
  const sent: ToKernel[] = [];
  const first = { code: "", replay: { seq: 0, now: 0, data: replay } };
  const store = new LayerStore({ send: (content) => sent.push(content) }, first);
  const asked = () => sent.flatMap((message) => (message.kind === "act" ? [message.action] : []));
  return { store, asked };
}

function row(
  index: number,
  name: string,
  kind = "file",
  change = "added",
  below: [number, number, number] = [0, 0, 0],
) {
  return [index, name, kind, "-rw-r--r--", "0:0", 1, change, "", below, []] as FileRow;
}

const top: Question = { ask: "folder", source: "layer 0", row: -1, start: 0 };
const answerTo = (question: Question, rows: FileRow[], total = rows.length): Answer => ({
  question: JSON.stringify(question),
  rows,
  total,
  failure: null,
});

test("a question is asked once, and its answer is kept", () => {
  const { store, asked } = open();
  assert.equal(store.ask(top), null);
  assert.equal(store.ask({ ...top }), null);
  assert.ok(store.waits(top));
  assert.deepEqual(asked(), [JSON.stringify(top)]);
  store.channel.take({ kind: "update", seq: 1, now: 0, data: { answers: [answerTo(top, [row(0, "etc")])] } });
  assert.equal(store.ask(top)?.rows.length, 1);
  assert.ok(!store.waits(top));
  assert.equal(asked().length, 1);
  store.forget(top);
  assert.equal(store.ask(top), null);
  assert.equal(asked().length, 2);
});

test("what another page asked is no answer here", () => {
  const { store } = open();
  store.channel.take({ kind: "update", seq: 1, now: 0, data: { answers: [answerTo(top, [])] } });
  assert.equal(store.ask(top), null);
});

test("a page that missed something asks again for what it waits for", () => {
  const { store, asked } = open();
  store.ask(top);
  store.channel.take({ kind: "update", seq: 5, now: 0, data: {} });
  store.channel.take({ kind: "replay", seq: 5, now: 0, data: replay });
  assert.deepEqual(asked(), [JSON.stringify(top), JSON.stringify(top)]);
  assert.deepEqual([...store.changes], [[0, [1, 2, 3]]]);
});

test("only what an update has is changed", () => {
  const { store } = open();
  const wasted = { size_bytes: 1, total_bytes: 2, count: 0, files: [] };
  store.channel.take({ kind: "update", seq: 1, now: 0, data: { wasted } });
  store.channel.take({ kind: "update", seq: 2, now: 0, data: {} });
  assert.equal(store.wasted?.size_bytes, 1);
  assert.equal(store.image?.name, "app");
});

function played(known: Map<string, Answer>) {
  return (question: Question) => known.get(JSON.stringify(question)) ?? null;
}

const shape = (lines: Line[]) =>
  lines.map((line) =>
    line.kind === "file"
      ? `${line.level} ${line.row[1]} ${line.open}`
      : line.kind === "more"
        ? `${line.level} +${line.left}`
        : line.text,
  );

test("a tree is as deep as folders are open, and waits for what is not known", () => {
  const known = new Map<string, Answer>();
  const state = new TreeState();
  assert.deepEqual(shape(treeLines(played(known), "layer 0", state)), ["reading …"]);
  known.set(JSON.stringify(top), answerTo(top, [row(0, "etc", "directory"), row(5, "file")]));
  assert.deepEqual(shape(treeLines(played(known), "layer 0", state)), ["1 etc false", "1 file null"]);
  state.open.add(0);
  assert.deepEqual(shape(treeLines(played(known), "layer 0", state)), ["1 etc true", "reading …", "1 file null"]);
  const etc: Question = { ...top, row: 0 };
  known.set(JSON.stringify(etc), answerTo(etc, [row(1, "passwd")], 3));
  assert.deepEqual(shape(treeLines(played(known), "layer 0", state)), [
    "1 etc true",
    "2 passwd null",
    "2 +2",
    "1 file null",
  ]);
});

test("more of a folder is asked for from where the last answer ended", () => {
  const asked: Question[] = [];
  const state = new TreeState();
  state.more(-1);
  const many = Array.from({ length: 200 }, (_, index) => row(index, String(index)));
  const ask = (question: Question) => {
    asked.push(question);
    return question.ask === "folder" && question.start === 0 ? answerTo(question, many, 201) : null;
  };
  const lines = treeLines(ask, "layer 0", state);
  assert.deepEqual(asked.at(-1), { ...top, start: 200 });
  assert.equal(lines.length, 201);
  assert.equal(lines.at(-1)?.kind, "note");
});

test("a layer without files says so, and a failure can be tried again", () => {
  const state = new TreeState();
  assert.deepEqual(shape(treeLines(played(new Map([[JSON.stringify(top), answerTo(top, [])]])), "layer 0", state)), [
    "no files",
  ]);
  const failed = { ...answerTo(top, []), failure: { message: "gone", hint: "pull it" } };
  const [line] = treeLines(played(new Map([[JSON.stringify(top), failed]])), "layer 0", state);
  assert.equal(line?.kind === "note" && line.text, "gone; pull it");
  assert.deepEqual(line?.kind === "note" && line.question, top);
});

test("a search tells how many it leaves out, and when nothing was found", () => {
  const question: Question = { ask: "search", source: "layer 0", text: "x", changes: [] };
  assert.deepEqual(shape(foundLines(null, question)), ["searching …"]);
  assert.deepEqual(shape(foundLines(answerTo(question, []), question)), ["nothing found"]);
  assert.deepEqual(shape(foundLines(answerTo(question, [row(0, "/x")], 1200), question)), [
    "1 /x null",
    "… 1,199 more: say more of the name",
  ]);
});

test("a directory that a layer removes is not opened where nothing is told of what was in it", () => {
  assert.ok(holds(row(0, "d", "directory", "added")));
  assert.ok(!holds(row(0, "d", "directory", "removed")));
  assert.ok(holds(row(0, "d", "directory", "removed", [0, 0, 2])));
  assert.ok(!holds(row(0, "f")));
});

test("the folder of a line is the nearest line above of a lower level", () => {
  const lines = [1, 2, 3, 3, 1].map((level) => ({ level }) as Line);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((place) => parentOf(lines, place)),
    [0, 0, 1, 1, 4],
  );
});

test("the parts of the strip are as the sizes, but none is too small to be seen", () => {
  const parts = shares([1000, 0, 0, 3000]);
  assert.ok(Math.abs(parts.reduce((one, other) => one + other, 0) - 100) < 1e-9);
  assert.ok(parts.every((part) => part > 0.5));
  assert.ok((parts[3] ?? 0) > 2.5 * (parts[0] ?? 0));
  assert.deepEqual(shares([0, 0]), [50, 50]);
  assert.deepEqual(shares([]), []);
});
