import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { isAnswer, Keys, Output, type Sink } from "../src/terminal/flow.ts";

/** Paints when it is told to. */
class SlowSink implements Sink {
  text = "";
  cleared = 0;
  readonly old: boolean[] = [];
  private waiting: (() => void)[] = [];

  write(data: Uint8Array, old: boolean, done: () => void): void {
    this.text += new TextDecoder().decode(data);
    this.old.push(old);
    this.waiting.push(done);
  }

  clear(): void {
    this.text = "";
    this.cleared++;
  }

  paint(): void {
    for (const done of this.waiting.splice(0)) done();
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);
const many = (size: number) => new Uint8Array(size).fill(120);

function opened(...sinks: Sink[]) {
  const acknowledged: number[] = [];
  const output = new Output((at) => acknowledged.push(at));
  for (const sink of sinks) output.open(sink);
  return { output, acknowledged };
}

test("much output is acknowledged as soon as it is painted, and not before", () => {
  const sink = new SlowSink();
  const { output, acknowledged } = opened(sink);
  sink.paint();
  output.add(many(100_000));
  assert.deepEqual(acknowledged, []);
  sink.paint();
  assert.deepEqual(acknowledged, [100_000]);
});

test("little output is acknowledged soon, together", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const sink = new SlowSink();
  const { output, acknowledged } = opened(sink);
  for (let n = 0; n < 5; n++) {
    output.add(bytes("key"));
    sink.paint();
  }
  assert.deepEqual(acknowledged, []);
  mock.timers.tick(100);
  assert.deepEqual(acknowledged, [15]);
  mock.timers.tick(1000);
  assert.deepEqual(acknowledged, [15]);
  mock.timers.reset();
});

test("the slowest of several views counts, until it is closed", () => {
  const [quick, slow] = [new SlowSink(), new SlowSink()];
  const { output, acknowledged } = opened(quick, slow);
  output.add(many(70_000));
  quick.paint();
  assert.deepEqual(acknowledged, []);
  output.close(slow);
  assert.deepEqual(acknowledged, [70_000]);
});

test("without any view all is acknowledged, and a view that comes later gets the last of it", () => {
  const { output, acknowledged } = opened();
  output.add(many(80_000));
  assert.deepEqual(acknowledged, [80_000]);
  output.add(bytes("the end"));
  const sink = new SlowSink();
  output.open(sink);
  assert.equal(sink.text.slice(-8), "xthe end");
  assert.deepEqual(sink.old, [true]);
  for (let n = 0; n < 20; n++) output.add(many(50_000));
  const late = new SlowSink();
  output.open(late);
  assert.ok(late.text.length >= 262_144 && late.text.length < 350_000, `${late.text.length} bytes are kept`);
});

test("a screen that comes anew takes the place of what was there, and goes on from its number", () => {
  const sink = new SlowSink();
  const { output, acknowledged } = opened(sink);
  output.add(bytes("before"));
  output.replace(500_000, bytes("anew"));
  assert.equal(sink.text, "anew");
  assert.equal(sink.cleared, 1);
  assert.equal(sink.old.at(-1), true);
  sink.paint();
  assert.deepEqual(acknowledged, [500_000]);
  output.add(bytes("!"));
  assert.equal(output.total, 500_001);
});

function typing() {
  const sent: [number, number, boolean][] = [];
  const all: number[] = [];
  const keys = new Keys((number, data, answer) => {
    sent.push([number, data.length, answer]);
    all.push(...data);
  });
  return { keys, sent, all };
}

test("keys are numbered and go at once", () => {
  const { keys, sent } = typing();
  keys.put(bytes("l"), false);
  keys.put(bytes("s\r"), true);
  assert.deepEqual(sent, [
    [0, 1, false],
    [1, 2, true],
  ]);
});

test("of a long paste no more than the window is on the way, and it arrives whole and in order", () => {
  const { keys, sent, all } = typing();
  const data = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251);
  keys.put(data, false);
  let taken = 0;
  for (; taken < data.length; taken += 4096) {
    assert.ok(all.length - taken <= 65_536, `${all.length - taken} bytes are on the way`);
    keys.taken(4096);
  }
  assert.deepEqual(Uint8Array.from(all), data);
  assert.deepEqual(
    sent.map(([number]) => number),
    sent.map((_, index) => index),
  );
});

test("what was typed for a former command is not sent to the next one", () => {
  const { keys, sent } = typing();
  keys.put(many(200_000), false);
  const before = sent.length;
  keys.reset();
  keys.put(bytes("ls"), false);
  assert.equal(sent.length, before + 1);
  assert.equal(sent.at(-1)?.[1], 2);
});

test("answers of the terminal itself are told from what is typed", () => {
  for (const answer of [
    "\x1b[24;80R",
    "\x1b[?1;2c",
    "\x1b[>0;276;0c",
    "\x1b[0n",
    "\x1b[?2026;2$y",
    "\x1b]11;rgb:0/0/0\x07",
  ]) {
    assert.ok(isAnswer(answer), JSON.stringify(answer));
  }
  for (const typed of ["c", "\x1b[A", "\x1bOP", "\x1b", "\x1b[200~]R\x1b[201~", "\r", "R", "\x03"]) {
    assert.ok(!isAnswer(typed), JSON.stringify(typed));
  }
});
