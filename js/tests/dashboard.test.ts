import assert from "node:assert/strict";
import { test } from "node:test";
import { badge, briefly, doing, matching, port, since } from "../src/dashboard/containers_tab.ts";
import { cutAt } from "../src/dashboard/log_list.ts";
import type { Answer, DashReplay, Order, Point, Row } from "../src/dashboard/messages.ts";
import { CPU, MEMORY, resample, Series, trimmed } from "../src/dashboard/series.ts";
import { DashStore, runs } from "../src/dashboard/store.ts";
import { plain } from "../src/widgets/ansi.ts";
import type { ToKernel } from "../src/widgets/messages.ts";

function row(key: number, name: string, more: Partial<Row> = {}): Row {
  return {
    key,
    id: `${name}-id`,
    name,
    image: "lab/base",
    command: "sleep 60",
    network: "bridge",
    ports: [],
    created_at: 0,
    status: "running",
    exit_code: 0,
    oom_killed: false,
    health: "",
    why: "",
    started_at: 10,
    finished_at: null,
    gone: false,
    ...more,
  };
}

const point = (time: number, cpu: number | null, memory = 1): Point => [time, cpu, memory, null, null, 0, 0, 1];

class Model {
  readonly sent: ToKernel[] = [];

  send(content: ToKernel): void {
    this.sent.push(content);
  }

  orders(): Order[] {
    return this.sent.flatMap((one) => (one.kind === "act" ? [JSON.parse(one.action) as Order] : []));
  }
}

function storeOf(
  rows: Row[],
  recent: Record<string, Point[]> = {},
  total: Point[] = [point(100, 1)],
): [DashStore, Model] {
  const model = new Model();
  const data: DashReplay = { containers: rows, recent, total };
  return [new DashStore(model, { code: "", replay: { seq: 0, now: 100, data } }), model];
}

const send = (store: DashStore, seq: number, data: object) =>
  store.channel.take({ kind: "update", seq, now: 100 + seq, data });

test("a figure is laid out at even moments: means, held for a while, and gaps", () => {
  const points = [point(0, 10), point(1, 20), point(2, 30), point(3, 40)];
  assert.deepEqual(resample(points, CPU, 3, 1, 4), [10, 20, 30, 40]);
  assert.deepEqual(resample(points, CPU, 3, 2, 2), [15, 35]);
  assert.deepEqual(resample(points, MEMORY, 3, 1, 2), [1, 1]);
  // ten seconds apart they hold, after a long silence they do not
  const sparse = [point(0, 5), point(10, 7), point(60, 9)];
  assert.deepEqual(resample(sparse, CPU, 12, 2, 4), [5, 5, 7, 7]);
  assert.deepEqual(resample(sparse, CPU, 60, 10, 7), [5, 7, 7, null, null, null, 9]);
  assert.deepEqual(resample([], CPU, 60, 10, 3), [null, null, null]);
  assert.deepEqual(resample([point(1, null)], CPU, 1, 1, 1), [null]);
});

test("a young curve is not drawn with its empty past", () => {
  assert.deepEqual(trimmed([null, null, null, 1, 2], 3), [null, 1, 2]);
  assert.deepEqual(trimmed([null, 1, 2, 3, 4], 3), [1, 2, 3, 4]);
  assert.deepEqual(trimmed([null, null, null], 2), [null, null]);
});

test("a series keeps what is recent, or an hour where it is whole", () => {
  const series = new Series();
  for (let time = 0; time < 1000; time++) series.add(point(time, time));
  assert.ok(series.points.length <= 150);
  assert.equal(series.last?.[0], 999);
  series.replace([point(0, 0), point(998, 1)], true);
  assert.deepEqual(
    series.points.map(([time]) => time),
    [0, 998, 999],
  );
  for (let time = 1000; time < 9000; time++) series.add(point(time, 0));
  assert.ok(series.points.length <= 5300);
  assert.ok((series.points[0]?.[0] ?? 0) >= 9000 - 3600 * 1.2);
  series.add(point(10, 0));
  assert.equal(series.last?.[0], 8999, "what is older than the last is left out");
});

test("a tick adds what changed, and holds what did not of those that run", () => {
  const [store] = storeOf([row(1, "web"), row(2, "db"), row(3, "old", { status: "exited" })], {
    1: [point(99, 5)],
    2: [point(99, 6)],
    3: [point(50, 7)],
  });
  send(store, 1, { tick: { time: 101, total: [9, 2, null, null, 0, 0, 2], used: [[1, 8, 1, null, null, 0, 0, 1]] } });
  assert.deepEqual(store.seriesOf(1).last, point(101, 8));
  assert.deepEqual(store.seriesOf(2).last, point(101, 6));
  assert.deepEqual(store.seriesOf(3).last, point(50, 7));
  assert.equal(store.total.last?.[1], 9);
});

test("a container that is gone stays until it is forgotten", () => {
  const [store] = storeOf([row(1, "web")], { 1: [point(99, 5)] });
  send(store, 1, { containers: [row(1, "web", { gone: true, status: "removed" })] });
  assert.equal(store.find("web-id")?.gone, true);
  assert.equal(store.seriesOf(1).points.length, 1);
  send(store, 2, { forgotten: [1] });
  assert.equal(store.find("web-id"), undefined);
  assert.equal(store.seriesOf(1).points.length, 0);
});

test("the whole hour of a container is asked for once, when it is chosen", () => {
  const [store, model] = storeOf([row(1, "web")], { 1: [point(99, 5)] });
  store.choices.selected = "web-id";
  assert.equal(store.chosen().points.length, 1);
  store.chosen();
  const asked = model.orders().filter(({ ask }) => ask === "history");
  assert.equal(asked.length, 1);
  const answer: Answer = { question: JSON.stringify(asked[0]), data: [point(0, 1), point(50, 2)], failure: null };
  send(store, 1, { answers: [answer] });
  assert.deepEqual(
    store.chosen().points.map(([time]) => time),
    [0, 50, 99],
  );
});

test("what is asked is asked again when everything was missed, and answers of others are left alone", () => {
  const [store, model] = storeOf([]);
  let taken = 0;
  store.ask({ ask: "inspect", id: "x" }, () => {
    taken += 1;
  });
  store.channel.take({ kind: "replay", seq: 5, now: 105, data: { containers: [], recent: {}, total: [] } });
  assert.equal(model.orders().filter(({ ask }) => ask === "inspect").length, 2);
  send(store, 6, { answers: [{ question: "another page's", data: null, failure: null }] });
  assert.equal(taken, 0);
});

test("a table is asked for when it is first looked at, and keeps its rows when that fails later", () => {
  const [store, model] = storeOf([]);
  assert.equal(store.listed("images").rows, null);
  const [order] = model.orders().filter(({ ask }) => ask === "table");
  send(store, 1, { answers: [{ question: JSON.stringify(order), data: [{ name: "a" }], failure: null }] });
  assert.deepEqual(store.listed("images").rows, [{ name: "a" }]);
  assert.equal(store.count("images"), 1);
  store.refresh("images");
  const again = model
    .orders()
    .filter(({ ask }) => ask === "table")
    .at(-1);
  const failure = { message: "the database is locked", hint: "try again" };
  send(store, 2, { answers: [{ question: JSON.stringify(again), data: null, failure }] });
  assert.deepEqual(store.listed("images"), { rows: [{ name: "a" }], failure, loading: false });
});

test("rows are found by every word, and by their state", () => {
  const rows = [
    row(1, "web-1", { ports: ["0.0.0.0:8080->80/tcp"] }),
    row(2, "web-2", { status: "exited" }),
    row(3, "db", { gone: true, status: "removed" }),
  ];
  const names = (text: string, status = "") => matching(rows, text, status).map(({ name }) => name);
  assert.deepEqual(names("WEB"), ["web-1", "web-2"]);
  assert.deepEqual(names("web 8080"), ["web-1"]);
  assert.deepEqual(names("", "running"), ["web-1"]);
  assert.deepEqual(names("", "ended"), ["web-2"]);
  assert.deepEqual(names("", "gone"), ["db"]);
});

test("a state is said in words and tones", () => {
  assert.deepEqual(badge(row(1, "a")), { text: "running", tone: "good" });
  assert.deepEqual(badge(row(1, "a", { health: "unhealthy" })), { text: "unhealthy", tone: "bad" });
  assert.deepEqual(badge(row(1, "a", { status: "exited", exit_code: 3 })), { text: "exited (3)", tone: "bad" });
  assert.deepEqual(badge(row(1, "a", { status: "exited", oom_killed: true })), { text: "out of memory", tone: "bad" });
  assert.deepEqual(badge(row(1, "a", { status: "removed", gone: true })), { text: "removed", tone: "calm" });
  assert.equal(since(row(1, "a"), 72), "1 m 02 s");
  assert.equal(since(row(1, "a", { status: "exited", finished_at: 60 }), 72), "12 s ago");
  assert.equal(briefly("5 h 12 m ago"), "5 h ago");
  assert.equal(briefly("12 s"), "12 s");
  assert.equal(port("0.0.0.0:8080->80/tcp"), "8080→80");
  assert.equal(port("127.0.0.1:53->53/udp"), "127.0.0.1:53→53/udp");
  assert.equal(runs(row(1, "a", { status: "paused" })), true);
  const [store] = storeOf([row(1, "web")]);
  store.act("stop", "container", "web-id", "web");
  assert.equal(doing(store, row(1, "web")), "stopping …");
});

test("spans are cut at the edges of what was found, also across colours", () => {
  const red = { ...plain, fg: "1" };
  const spans = [
    { text: "hello ", style: plain },
    { text: "world", style: red },
  ];
  const cut = (found: [number, number][]) =>
    cutAt(spans, found).map(({ text, marked }) => (marked ? `[${text}]` : text));
  assert.deepEqual(cut([]), ["hello ", "world"]);
  assert.deepEqual(cut([[4, 8]]), ["hell", "[o ]", "[wo]", "rld"]);
  assert.deepEqual(
    cut([
      [0, 1],
      [10, 11],
    ]),
    ["[h]", "ello ", "worl", "[d]"],
  );
  assert.ok(!cut([[3, 3]]).some((text) => text.startsWith("[")), "what is nothing is not marked");
});
