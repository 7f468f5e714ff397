import assert from "node:assert/strict";
import { test } from "node:test";
import { plain, plainText } from "../src/widgets/ansi.ts";
import { cut, LogLines } from "../src/widgets/log_lines.ts";
import type { LogRow } from "../src/widgets/messages.ts";

const rows = (...texts: string[]): LogRow[] => texts.map((text, index) => [1, index, text]);

test("a style of one stream does not colour the other", () => {
  const log = new LogLines();
  log.append({
    skipped: 0,
    rows: [
      [1, 0, "\x1b[31mred"],
      [2, 0, "plain"],
      [1, 0, "red too"],
    ],
  });
  assert.deepEqual(
    [...log.lines].map((line) => line.spans[0]?.style.fg),
    ["1", "", "1"],
  );
});

test("skipped lines leave a note that says how many", () => {
  const log = new LogLines();
  log.append({ skipped: 12_345, rows: rows("after") });
  assert.deepEqual(
    [...log.lines].map((line) => line.text),
    ["… 12,345 lines skipped", "after"],
  );
  assert.equal(log.lines.at(0)?.stream, 0);
  assert.equal(log.skipped, 12_345);
});

test("a search finds every occurrence, whatever its case, also in lines to come", () => {
  const log = new LogLines();
  log.append({ skipped: 1, rows: rows("Error: an ERROR", "fine") });
  log.search("error");
  log.append({ skipped: 0, rows: rows("one more error") });
  assert.deepEqual(log.matches, [
    { line: 1, from: 0 },
    { line: 1, from: 10 },
    { line: 3, from: 9 },
  ]);
  log.search("");
  assert.equal(log.matches.length, 0);
});

test("a search sees what the reader sees, not the colours", () => {
  const log = new LogLines();
  log.append({ skipped: 0, rows: rows("he\x1b[31mllo\x1b[0m 31m") });
  log.search("hello");
  assert.equal(log.matches.length, 1);
  log.search("[31m");
  assert.equal(log.matches.length, 0);
});

test("matches go with the lines that they are in", () => {
  const log = new LogLines(3);
  log.search("x");
  log.append({ skipped: 0, rows: rows("x", "x", "x", "y", "x") });
  assert.deepEqual(
    log.matches.map((match) => match.line),
    [2, 4],
  );
});

test("a flood leaves the last lines", () => {
  const log = new LogLines(100);
  for (let batch = 0; batch < 50; batch++)
    log.append({ skipped: 750, rows: rows(...Array(250).fill(`batch ${batch}`)) });
  assert.equal(log.lines.size, 100);
  assert.equal(log.lines.last?.text, "batch 49");
  assert.equal(log.skipped, 50 * 750);
});

test("a line is cut at the edges of its matches across its spans", () => {
  const red = { ...plain, fg: "1" };
  const spans = [
    { text: "ab", style: plain },
    { text: "cdef", style: red },
  ];
  const pieces = cut(spans, [1, 4], 2);
  assert.deepEqual(
    pieces.map(({ text, style, marked }) => [text, style.fg, marked]),
    [
      ["a", "", false],
      ["b", "", true],
      ["c", "1", true],
      ["d", "1", false],
      ["ef", "1", true],
    ],
  );
  assert.equal(plainText(pieces), "abcdef");
});
