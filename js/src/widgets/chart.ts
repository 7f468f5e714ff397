// A sparkline on a canvas: sharp on every screen, in the colours of its element's style.

import { onResize, perFrame } from "./dom.ts";
import { type Box, curve, height, nearest } from "./sparkline.ts";

export interface ChartData {
  values: readonly (number | null)[];
  capacity: number;
  top: number;
  /** Drawn as a dashed line where it is within the scale. */
  limit: number | null;
  /** A second curve, drawn as a thin line. */
  beside?: readonly (number | null)[];
}

/** The colour, seen through: towards plain "transparent" a gradient would turn grey on its way. */
function clear(colour: string): string {
  return colour.startsWith("rgb(") ? colour.replace("rgb(", "rgba(").replace(")", ", 0)") : "transparent";
}

export class Chart {
  private data: ChartData = { values: [], capacity: 2, top: 1, limit: null };
  private pointed = -1;
  private readonly redraw: () => void;

  /** `onPoint` hears which value the pointer is at, counted back from the newest, or -1. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    onPoint: (back: number) => void,
    signal: AbortSignal,
  ) {
    this.redraw = perFrame(() => this.draw(), signal);
    onResize(canvas, this.redraw, signal);
    const point = (back: number) => {
      if (back === this.pointed) return;
      this.pointed = back;
      onPoint(back);
      this.redraw();
    };
    canvas.addEventListener(
      "pointermove",
      (event) => {
        const { capacity, values } = this.data;
        point(nearest(event.offsetX, values.length, capacity, canvas.clientWidth));
      },
      { signal },
    );
    canvas.addEventListener("pointerleave", () => point(-1), { signal });
    this.followTheme(signal);
  }

  show(data: ChartData): void {
    this.data = data;
    this.redraw();
  }

  private followTheme(signal: AbortSignal): void {
    const observer = new MutationObserver(this.redraw);
    const attributeFilter = ["class", "data-jp-theme-light", "data-jp-theme-name", "data-theme"];
    for (const element of [document.documentElement, document.body]) observer.observe(element, { attributeFilter });
    signal.addEventListener("abort", () => observer.disconnect());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.redraw, { signal });
  }

  private draw(): void {
    const { canvas, data } = this;
    const { clientWidth: width, clientHeight: tall } = canvas;
    const context = canvas.getContext("2d");
    if (!context || !width || !tall) return;
    const ratio = window.devicePixelRatio || 1;
    const [across, down] = [Math.round(width * ratio), Math.round(tall * ratio)];
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, tall);
    const style = getComputedStyle(canvas);
    const colour = style.color;
    const grid = style.getPropertyValue("--labc-grid").trim() || "rgba(128,128,128,.2)";
    const box: Box = { width: width - 4, height: tall, margin: 4 };
    this.grid(context, box, grid);
    if (data.limit !== null && data.limit <= data.top)
      this.limit(context, height(data.limit, data.top, box), width, style);
    for (const run of curve(data.values, data.capacity, data.top, box)) {
      const last = run.at(-1);
      const start = run[0];
      if (!last || !start) continue;
      const path = new Path2D();
      for (const { x, y } of run) path.lineTo(x, y);
      const area = new Path2D(path);
      area.lineTo(last.x, tall);
      area.lineTo(start.x, tall);
      const fill = context.createLinearGradient(0, 0, 0, tall);
      fill.addColorStop(0, colour);
      fill.addColorStop(1, clear(colour));
      context.globalAlpha = 0.26;
      context.fillStyle = fill;
      context.fill(area);
      context.globalAlpha = 1;
      context.strokeStyle = colour;
      context.lineWidth = 1.75;
      context.lineJoin = context.lineCap = "round";
      context.stroke(path);
    }
    if (data.beside) this.line(context, data.beside, box, style);
    this.dot(context, box, colour);
  }

  private line(
    context: CanvasRenderingContext2D,
    values: readonly (number | null)[],
    box: Box,
    style: CSSStyleDeclaration,
  ): void {
    context.strokeStyle = style.getPropertyValue("--labc-beside").trim() || style.color;
    context.lineWidth = 1.25;
    for (const run of curve(values, this.data.capacity, this.data.top, box)) {
      const path = new Path2D();
      for (const { x, y } of run) path.lineTo(x, y);
      context.stroke(path);
    }
  }

  private grid(context: CanvasRenderingContext2D, box: Box, colour: string): void {
    context.strokeStyle = colour;
    context.lineWidth = 1;
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(height(share, 1, box)) + 0.5;
      context.beginPath();
      context.moveTo(0, y);
      context.lineTo(box.width + 4, y);
      context.stroke();
    }
  }

  private limit(context: CanvasRenderingContext2D, y: number, width: number, style: CSSStyleDeclaration): void {
    context.strokeStyle = style.getPropertyValue("--labc-bad").trim() || "#d33";
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(0, Math.round(y) + 0.5);
    context.lineTo(width, Math.round(y) + 0.5);
    context.stroke();
    context.setLineDash([]);
  }

  private dot(context: CanvasRenderingContext2D, box: Box, colour: string): void {
    const { values, capacity, top } = this.data;
    const back = Math.max(0, this.pointed);
    const value = values.at(-1 - back);
    if (value === null || value === undefined) return;
    const x = box.width - back * (box.width / Math.max(1, capacity - 1));
    const y = height(value, top, box);
    if (this.pointed >= 0) {
      context.globalAlpha = 0.5;
      context.fillStyle = colour;
      context.fillRect(Math.round(x), 0, 1, box.height);
      context.globalAlpha = 1;
    }
    context.beginPath();
    context.arc(x, y, 2.6, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
  }
}
