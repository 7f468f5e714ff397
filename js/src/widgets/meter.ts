// A value of a card with its chart.

import { Chart } from "./chart.ts";
import { h, setAttribute, setText } from "./dom.ts";
import type { Sample } from "./messages.ts";

export const SAMPLES_KEPT = 120;
const SAMPLES_AT_FIRST = 30;

/** A value with its chart. */
export class Meter {
  readonly element: HTMLElement;
  private readonly value = h("span", { class: "labc-value" });
  private readonly of = h("span", { class: "labc-muted" });
  private readonly canvas: HTMLCanvasElement;
  private readonly chart: Chart;
  private samples: readonly Sample[] = [];
  private limit: number | null = null;
  private back = -1;
  private running = false;

  constructor(
    private readonly title: string,
    kind: string,
    private readonly pick: (sample: Sample) => number,
    private readonly format: (value: number) => string,
    signal: AbortSignal,
  ) {
    this.canvas = h("canvas", { class: "labc-chart", role: "img" });
    this.chart = new Chart(
      this.canvas,
      (back) => {
        this.back = back;
        this.words();
      },
      signal,
    );
    const head = h(
      "div",
      { class: "labc-meter-head" },
      h("span", { class: "labc-title" }, title),
      h("span", { class: "labc-spring" }),
    );
    head.append(this.value, this.of);
    this.element = h("section", { class: `labc-meter ${kind}`, "aria-label": title }, head, this.canvas);
  }

  show(samples: readonly Sample[], top: number, limit: number | null, running: boolean): void {
    this.samples = samples;
    this.running = running;
    this.limit = limit;
    // the window grows with what is known, so that a young container's curve can be seen
    const capacity = Math.min(SAMPLES_KEPT, Math.max(SAMPLES_AT_FIRST, samples.length));
    this.chart.show({ values: samples.map(this.pick), capacity, top, limit });
    this.words();
  }

  private words(): void {
    const newest = this.samples.at(-1);
    const sample = this.back < 0 ? newest : this.samples.at(-1 - this.back);
    setText(this.value, sample && (this.running || this.back >= 0) ? this.format(this.pick(sample)) : "–");
    const ago = sample && newest && this.back > 0 ? ` ${Math.round(newest.time - sample.time)} s ago` : "";
    const limit = this.limit === null ? "" : ` of ${this.format(this.limit)}`;
    setText(this.of, ago || limit);
    setAttribute(
      this.canvas,
      "aria-label",
      `${this.title}: ${this.value.textContent}${limit}, over the last two minutes`,
    );
  }
}
