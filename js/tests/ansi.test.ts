import assert from "node:assert/strict";
import { test } from "node:test";
import { applySgr, indexedColour, parseLine, plain, plainText, type Style } from "../src/widgets/ansi.ts";

const styled = (changes: Partial<Style>): Style => ({ ...plain, ...changes });
const texts = (line: string) => parseLine(line, plain).spans.map(({ text }) => text);

// parameters of an SGR sequence, and the style they lead to from a plain one
const sgr: [string, Partial<Style>][] = [
  ["", {}],
  ["0", {}],
  ["1", { bold: true }],
  ["2;3;4", { dim: true, italic: true, underline: true }],
  ["7;9", { inverse: true, strike: true }],
  ["1;22", {}],
  ["4:0", {}],
  ["4:3", { underline: true }],
  ["31", { fg: "1" }],
  ["41", { bg: "1" }],
  ["91;102", { fg: "9", bg: "10" }],
  ["31;39;41;49", {}],
  ["38;5;9", { fg: "9" }],
  ["38;5;208", { fg: "#ff8700" }],
  ["48;5;232", { bg: "#080808" }],
  ["38;5;999", {}],
  ["38;2;1;2;3", { fg: "#010203" }],
  ["38;2;1;2;3;1", { fg: "#010203", bold: true }],
  ["38;2;1;2;300", {}],
  ["38:2::1:2:3", { fg: "#010203" }],
  ["38:2:1:2:3;1", { fg: "#010203", bold: true }],
  ["48:5:21", { bg: "#0000ff" }],
  ["38;5", {}],
  ["38", {}],
  ["1;;31", { fg: "1" }],
];

for (const [parameters, changes] of sgr) {
  test(`SGR "${parameters}" gives ${JSON.stringify(changes)}`, () => {
    assert.deepEqual(applySgr(parameters, plain), styled(changes));
  });
}

test("the 256 colours have the theme's 16, the cube and the greys", () => {
  assert.equal(indexedColour(15), "15");
  assert.equal(indexedColour(16), "#000000");
  assert.equal(indexedColour(231), "#ffffff");
  assert.equal(indexedColour(255), "#eeeeee");
});

test("a line without controls is one span in the style that was in force", () => {
  const red = styled({ fg: "1" });
  assert.deepEqual(parseLine("hello", red), { spans: [{ text: "hello", style: red }], style: red });
  assert.deepEqual(parseLine("", red), { spans: [], style: red });
});

test("a style goes on into the next line until it is reset", () => {
  const first = parseLine("\x1b[31mred", plain);
  assert.equal(first.style.fg, "1");
  const second = parseLine("still\x1b[0m not", first.style);
  assert.deepEqual(
    second.spans.map(({ text, style }) => [text, style.fg]),
    [
      ["still", "1"],
      [" not", ""],
    ],
  );
  assert.equal(second.style, plain);
});

test("other control sequences leave nothing behind", () => {
  assert.deepEqual(texts("a\x1b[2Kb\x1b[?25lc\x1b[1;1Hd"), ["abcd"]);
  assert.deepEqual(texts("\x1b]0;title\x07text"), ["text"]);
  assert.deepEqual(texts("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\"), ["link"]);
  assert.deepEqual(texts("\x1bPq#0\x1b\\after"), ["after"]);
  assert.deepEqual(texts("bell\x07 and back\x08"), ["bell and back"]);
  assert.deepEqual(texts("cut off\x1b"), ["cut off"]);
  assert.deepEqual(texts("cut off\x1b["), ["cut off"]);
});

test("tabs are kept", () => {
  assert.deepEqual(texts("a\tb\x07"), ["a\tb"]);
});

test("of text that a carriage return overwrites the last is kept", () => {
  assert.deepEqual(texts("10 %\r50 %\r100 %"), ["100 %"]);
  assert.deepEqual(texts("done\r"), ["done"]);
  const { spans } = parseLine("\x1b[31mold\x1b[0m\r\x1b[32mnew", plain);
  assert.equal(plainText(spans), "new");
  assert.equal(spans[0]?.style.fg, "2");
});

test("a hostile line is parsed in time that grows with its length", () => {
  const started = Date.now();
  parseLine("\x1b[".repeat(20_000), plain);
  parseLine(`\x1b]${"x".repeat(200_000)}`, plain);
  parseLine("\x1b[31;".repeat(20_000), plain);
  assert.ok(Date.now() - started < 1000);
});
