import assert from "node:assert/strict";
import { test } from "node:test";
import { badge, portHref } from "../src/widgets/card.ts";
import { formatBytes, formatDuration, formatPercent, formatUptime } from "../src/widgets/format.ts";
import type { ContainerState } from "../src/widgets/messages.ts";
import { numbered, OutputTail } from "../src/widgets/progress.ts";

const table = <T>(name: string, format: (value: T) => string, rows: [T, string][]) => {
  for (const [value, text] of rows) test(`${name} of ${value} is ${text}`, () => assert.equal(format(value), text));
};

table("bytes", formatBytes, [
  [0, "0 B"],
  [999, "999 B"],
  [1000, "0.98 KiB"],
  [1536, "1.5 KiB"],
  [100 * 2 ** 20, "100 MiB"],
  [2 ** 30, "1 GiB"],
]);
table("percent", formatPercent, [
  [0, "0.0 %"],
  [9.94, "9.9 %"],
  [9.96, "10 %"],
  [153.2, "153 %"],
]);
table("duration", formatDuration, [
  [0, "1 ms"],
  [0.35, "350 ms"],
  [4.21, "4.2 s"],
  [125, "2 m 05 s"],
]);
table("uptime", formatUptime, [
  [-1, "0 s"],
  [59.9, "59 s"],
  [187, "3 m 07 s"],
  [18_720, "5 h 12 m"],
  [187_200, "2 d 4 h"],
]);

const local = { protocol: "http:", hostname: "localhost", origin: "http://localhost:8888" };
const hub = { protocol: "https:", hostname: "hub.example", origin: "https://hub.example" };
const code = { protocol: "vscode-webview:", hostname: "abc", origin: "vscode-webview://abc" };

test("a port leads where it can be reached from the page", () => {
  const port = { text: "", host: "0.0.0.0", port: 8080, path: "" };
  assert.equal(portHref(port, local), "http://localhost:8080/");
  assert.equal(portHref(port, code), "http://localhost:8080/");
  assert.equal(portHref({ ...port, host: "127.0.0.1" }, hub), "http://127.0.0.1:8080/");
  assert.equal(portHref({ ...port, host: "::1" }, local), "http://[::1]:8080/");
  assert.equal(portHref({ ...port, host: "" }, local), "");
  assert.equal(portHref({ ...port, path: "/user/ada/proxy/8080/" }, hub), "https://hub.example/user/ada/proxy/8080/");
});

test("the badge tells how a container ended", () => {
  const state: ContainerState = {
    status: "exited",
    exit_code: 0,
    oom_killed: false,
    error: "",
    started_at: 1,
    finished_at: 2,
    warnings: [],
  };
  assert.deepEqual(badge(state), { text: "exited (0)", tone: "calm" });
  assert.equal(badge({ ...state, exit_code: 1 }).tone, "bad");
  assert.equal(badge({ ...state, exit_code: 137, oom_killed: true }).text, "out of memory (137)");
  assert.equal(badge({ ...state, status: "running" }).tone, "good");
});

test("the output of a step is kept from its end, in whole lines", () => {
  const tail = new OutputTail();
  for (let line = 0; line < 20_000; line++) tail.append({ index: 1, skipped: 0, text: `line ${line}\n` });
  assert.ok(tail.text.length <= 64 * 1024);
  assert.match(tail.text, /^line \d+\n/);
  assert.ok(tail.text.endsWith("line 19999\n"));
  assert.ok(tail.skipped > 0);
});

test("lines of a Dockerfile carry their numbers", () => {
  assert.equal(numbered("RUN a &&\\\n  b", 9), " 9 │ RUN a &&\\\n10 │   b");
  assert.equal(numbered("RUN a", 0), "RUN a");
});
