// The charts above the tabs: CPU, memory, network, disk and processes, of one container or of all.

import { Chart } from "../widgets/chart.ts";
import { h, setAttribute, setText } from "../widgets/dom.ts";
import { formatBytes, formatCount, formatPercent, formatUptime } from "../widgets/format.ts";
import { niceCeiling, niceMemoryCeiling } from "../widgets/sparkline.ts";
import { CPU, MEMORY, PIDS, READ, RECEIVED, resample, SENT, type Series, trimmed, WRITTEN } from "./series.ts";

/** What the charts can show: seconds, and how far the moments are apart. */
export const RANGES: readonly { seconds: number; step: number; text: string; title: string }[] = [
  { seconds: 120, step: 1, text: "2 m", title: "the last two minutes" },
  { seconds: 900, step: 5, text: "15 m", title: "the last quarter of an hour" },
  { seconds: 3600, step: 20, text: "1 h", title: "the last hour" },
];
const LEAST_SHOWN = 30;

interface Kind {
  title: string;
  name: string;
  figure: number;
  beside?: number;
  format: (value: number) => string;
  top: (value: number) => number;
  /** What stands before the two figures, which are of a second. */
  words?: [string, string];
}

const rateTop = (value: number) => niceCeiling(value, value > 2 ** 20 ? 2 ** 20 : 2 ** 10);

const KINDS: Kind[] = [
  { title: "CPU", name: "cpu", figure: CPU, format: formatPercent, top: (value) => niceCeiling(value, 10) },
  { title: "Memory", name: "memory", figure: MEMORY, format: formatBytes, top: niceMemoryCeiling },
  {
    title: "Network",
    name: "network",
    figure: RECEIVED,
    beside: SENT,
    format: formatBytes,
    top: rateTop,
    words: ["↓", "↑"],
  },
  { title: "Disk", name: "disk", figure: READ, beside: WRITTEN, format: formatBytes, top: rateTop, words: ["R", "W"] },
  { title: "Processes", name: "pids", figure: PIDS, format: formatCount, top: (value) => niceCeiling(value, 5) },
];

class UsageMeter {
  readonly element: HTMLElement;
  private readonly value = h("span", { class: "labc-value" });
  private readonly ago = h("span", { class: "labc-muted" });
  private readonly canvas = h("canvas", { class: "labc-chart", role: "img" });
  private readonly chart: Chart;
  private values: (number | null)[] = [];
  private beside: (number | null)[] = [];
  private back = -1;
  private step = 1;
  private words = "";
  private live = true;

  constructor(
    private readonly kind: Kind,
    signal: AbortSignal,
  ) {
    const point = (back: number) => {
      this.back = back;
      this.tell();
    };
    this.chart = new Chart(this.canvas, point, signal);
    const head = h(
      "div",
      { class: "labc-meter-head" },
      h("span", { class: "labc-title" }, kind.title),
      h("span", { class: "labc-spring" }),
      this.ago,
    );
    this.element = h(
      "section",
      { class: `labc-meter labd-${kind.name}`, "aria-label": kind.title },
      head,
      this.value,
      this.canvas,
    );
  }

  show(series: Series, end: number, range: (typeof RANGES)[number], live: boolean): void {
    const { kind } = this;
    const lay = (figure: number) =>
      resample(series.points, figure, end, range.step, Math.round(range.seconds / range.step));
    const values = lay(kind.figure);
    this.values = trimmed(values, LEAST_SHOWN);
    this.beside = kind.beside ? lay(kind.beside).slice(-this.values.length) : [];
    this.step = range.step;
    this.words = range.title;
    this.live = live;
    const highest = Math.max(0, ...this.values.map(Number), ...this.beside.map(Number));
    this.chart.show({
      values: this.values,
      capacity: Math.max(LEAST_SHOWN, this.values.length),
      top: kind.top(highest),
      limit: null,
      ...(kind.beside ? { beside: this.beside } : {}),
    });
    this.tell();
  }

  private tell(): void {
    const { kind, back } = this;
    const at = -1 - Math.max(0, back);
    const value = this.live || back >= 0 ? this.text(at) : "–";
    setText(this.value, value);
    setText(this.ago, back > 0 ? `${formatUptime(back * this.step)} ago` : kind.words ? "per second" : "");
    setAttribute(this.canvas, "aria-label", `${kind.title}: ${value}, over ${this.words}`);
  }

  private text(at: number): string {
    const { kind } = this;
    const one = (value: number | null | undefined) =>
      value === null || value === undefined ? "–" : kind.format(value);
    const first = one(this.values.at(at));
    if (!kind.words) return first;
    const second = one(this.beside.at(at));
    return first === "–" && second === "–" ? "–" : `${kind.words[0]} ${first}  ${kind.words[1]} ${second}`;
  }
}

export class Charts {
  readonly element = h("div", { class: "labc-meters labd-meters", role: "group", "aria-label": "Charts" });
  private readonly meters: UsageMeter[];

  constructor(signal: AbortSignal) {
    this.meters = KINDS.map((kind) => new UsageMeter(kind, signal));
    this.element.append(...this.meters.map(({ element }) => element));
  }

  /** `live`: whether it runs now, so that the last figures are those of now. */
  show(series: Series, end: number, seconds: number, live: boolean): void {
    const range = RANGES.find((one) => one.seconds === seconds) ?? RANGES[0];
    if (!range) return;
    this.element.classList.toggle("labd-still", !live);
    for (const meter of this.meters) meter.show(series, end, range, live);
  }
}
