import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel } from "../src/widgets/channel.ts";
import type { ToKernel } from "../src/widgets/messages.ts";

function open(first: number | null) {
  const sent: ToKernel[] = [];
  const got: string[] = [];
  const channel = new Channel<string, string>(
    { send: (content) => sent.push(content) },
    { replay: (data) => got.push(`all ${data}`), update: (data) => got.push(data) },
    first === null ? null : { code: "", replay: { seq: first, now: 0, data: "first" } },
  );
  const update = (seq: number) => channel.take({ kind: "update", seq, now: 1, data: String(seq) });
  const replay = (seq: number) => channel.take({ kind: "replay", seq, now: 1, data: String(seq) });
  return { channel, sent, got, update, replay, kinds: () => sent.map(({ kind }) => kind) };
}

test("updates follow what the widget was opened with, and nothing is asked for", () => {
  const { got, update, sent } = open(0);
  update(1);
  update(2);
  assert.deepEqual(got, ["all first", "1", "2"]);
  assert.deepEqual(sent, []);
});

test("a page that comes later asks for everything, and leaves out what came before that", () => {
  const { got, update, replay, kinds } = open(null);
  update(7);
  replay(8);
  update(8);
  update(9);
  assert.deepEqual(got, ["all 8", "9"]);
  assert.deepEqual(kinds(), ["ready"]);
});

test("a missing update makes the page ask again, once", () => {
  const { got, update, replay, kinds } = open(0);
  update(2);
  update(3);
  assert.deepEqual(kinds(), ["ready"]);
  replay(3);
  update(4);
  assert.deepEqual(got, ["all first", "all 3", "4"]);
});

test("a replay that another page asked for changes nothing here", () => {
  const { got, update, replay } = open(0);
  update(1);
  replay(1);
  assert.deepEqual(got, ["all first", "1"]);
});

test("a view tells that it looks, and that it no longer does", () => {
  const { channel, sent } = open(0);
  const view = new AbortController();
  let changes = 0;
  channel.view(() => changes++, view.signal);
  view.abort();
  assert.deepEqual(
    sent.map((message) => message.kind === "watch" && message.views),
    [1, 0],
  );
  channel.take({ kind: "update", seq: 1, now: 1, data: "" });
  assert.equal(changes, 1);
});
