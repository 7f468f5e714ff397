// Found lines of several logs in a box: only the rows in sight are in the document.

import { parseLine, plain, type Span } from "../widgets/ansi.ts";
import { h, onResize, perFrame } from "../widgets/dom.ts";
import { formatClock } from "../widgets/format.ts";
import { span } from "../widgets/log_view.ts";
import { Ring } from "../widgets/ring.ts";
import type { FoundLine } from "./messages.ts";

const ROW_PX = 18;
const BEYOND = 8;
const LINES_KEPT = 10_000;
const COLOURS = 6;

interface Line {
  name: string;
  colour: number;
  stream: number;
  time: number;
  spans: readonly Span[];
  found: [number, number][];
}

export class LogList {
  readonly element = h("div", {
    class: "labc-log labd-log",
    tabindex: 0,
    role: "log",
    "aria-label": "Lines",
    "aria-live": "off",
  });
  private readonly space = h("div", { class: "labc-log-space" });
  private readonly empty = h("div", { class: "labd-empty" });
  private readonly lines = new Ring<Line>(LINES_KEPT);
  /** Positions of the last lines that had no end yet, by container and stream. */
  private readonly open = new Map<string, number>();
  private readonly rows = new Map<number, HTMLElement>();
  private first = 0;
  private placed = -1;
  private following = true;
  readonly refresh: () => void;

  constructor(
    private readonly onFollow: (follow: boolean) => void,
    signal: AbortSignal,
  ) {
    this.refresh = perFrame(() => this.draw(), signal);
    this.element.append(this.space, this.empty);
    this.element.addEventListener("scroll", () => this.scrolled(), { signal, passive: true });
    onResize(this.element, this.refresh, signal);
  }

  get size(): number {
    return this.lines.size;
  }

  clear(): void {
    this.lines.clear();
    this.open.clear();
    this.rows.clear();
    this.space.replaceChildren();
  }

  append(found: readonly FoundLine[], from: (id: string) => { name: string; colour: number }): void {
    for (const [id, stream, time, text, spans, ended] of found) {
      const { name, colour } = from(id);
      this.add(`${id} ${stream}`, ended, {
        name,
        colour: colour % COLOURS,
        stream,
        time,
        spans: parseLine(text, plain).spans,
        found: spans,
      });
    }
    this.refresh();
  }

  /** A line that had no end when it came before is the same line: it stays where it is, and tells more. */
  private add(source: string, ended: boolean, line: Line): void {
    const at = this.open.get(source);
    const former = at === undefined ? undefined : this.lines.at(at);
    if (at !== undefined && former) {
      Object.assign(former, line);
      this.rows.get(at)?.remove();
      this.rows.delete(at);
    } else this.lines.push(line);
    if (ended) this.open.delete(source);
    else if (!former) this.open.set(source, this.lines.end - 1);
  }

  /** What is told where there are no lines. */
  why(text: string): void {
    this.empty.textContent = text;
    this.empty.hidden = this.lines.size > 0;
  }

  follow(on: boolean): void {
    this.following = on;
    this.refresh();
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    if (Math.abs(scrollTop - this.placed) > 1) {
      const atEnd = scrollTop + clientHeight >= scrollHeight - ROW_PX / 2;
      this.placed = -1;
      if (atEnd !== this.following) {
        this.following = atEnd;
        this.onFollow(atEnd);
      }
    }
    this.refresh();
  }

  private place(scrollTop: number): void {
    this.element.scrollTop = scrollTop;
    this.placed = this.element.scrollTop;
  }

  private draw(): void {
    const { first, size } = this.lines;
    const dropped = first - this.first;
    this.first = first;
    this.space.style.height = `${size * ROW_PX}px`;
    if (this.following) this.place(size * ROW_PX);
    else if (dropped > 0) this.place(Math.max(0, this.element.scrollTop - dropped * ROW_PX));
    const { scrollTop, clientHeight } = this.element;
    const from = first + Math.max(0, Math.floor(scrollTop / ROW_PX) - BEYOND);
    const to = Math.min(this.lines.end, first + Math.ceil((scrollTop + clientHeight) / ROW_PX) + BEYOND);
    for (const [at, row] of this.rows) {
      if (at >= from && at < to) continue;
      row.remove();
      this.rows.delete(at);
    }
    // from below, so that each new row finds the one after it and the document keeps the log's order
    for (let at = to - 1; at >= from; at--) {
      let row = this.rows.get(at);
      if (!row) {
        row = rowOf(this.lines.at(at) as Line);
        this.rows.set(at, row);
        this.space.insertBefore(row, this.rows.get(at + 1) ?? null);
      }
      row.style.transform = `translateY(${(at - first) * ROW_PX}px)`;
    }
  }
}

function rowOf(line: Line): HTMLElement {
  const row = h("div", {
    class: `labc-row ${line.stream === 2 ? "labc-stderr" : ""}`,
    title: line.stream === 2 ? "stderr" : null,
  });
  row.append(
    h("span", { class: "labc-time" }, formatClock(line.time)),
    h("span", { class: "labd-from", "data-colour": line.colour, title: line.name }, line.name),
  );
  for (const { text, style, marked } of cutAt(line.spans, line.found))
    row.append(span(text, style, marked ? "labc-hit" : ""));
  return row;
}

/** The spans of a line cut at the edges of what was found in it; places count from its begin, in order. */
export function cutAt(spans: readonly Span[], found: readonly [number, number][]): (Span & { marked: boolean })[] {
  const pieces: (Span & { marked: boolean })[] = [];
  let at = 0;
  let next = 0;
  for (const { text, style } of spans) {
    let from = 0;
    while (from < text.length) {
      while (next < found.length && (found[next]?.[1] ?? 0) <= at + from) next += 1;
      const [begin, end] = found[next] ?? [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      const marked = begin <= at + from;
      const to = Math.min(text.length, (marked ? end : begin) - at);
      pieces.push({ text: text.slice(from, to), style, marked });
      from = to;
    }
    at += text.length;
  }
  return pieces;
}
