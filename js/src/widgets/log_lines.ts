// The lines of a log that a page holds: the last few thousand, parsed once, searchable. Knows no document.

import { parseLine, plain, plainText, type Span, type Style } from "./ansi.ts";
import type { LogBatch } from "./messages.ts";
import { Ring } from "./ring.ts";

export interface Line {
  /** 1 stdout, 2 stderr, 0 for a note of the widget itself. */
  readonly stream: number;
  readonly time: number;
  readonly text: string;
  readonly spans: readonly Span[];
}

/** An occurrence of what is searched: the line's position and where in its text. */
export interface Match {
  line: number;
  from: number;
}

export const LINES_KEPT = 5000;
const MATCHES_KEPT = 50_000;

export class LogLines {
  readonly lines: Ring<Line>;
  private styles: Record<number, Style> = {};
  private needle = "";
  private found: Match[] = [];
  /** Lines that came and are not held here, for whichever reason. */
  skipped = 0;

  constructor(capacity = LINES_KEPT) {
    this.lines = new Ring(capacity);
  }

  append(batch: LogBatch): void {
    if (batch.skipped > 0) {
      this.skipped += batch.skipped;
      this.styles = {};
      const note = `… ${batch.skipped.toLocaleString("en-US")} ${batch.skipped === 1 ? "line" : "lines"} skipped`;
      this.push({ stream: 0, time: batch.rows[0]?.[1] ?? 0, text: note, spans: [{ text: note, style: plain }] });
    }
    for (const [stream, time, raw] of batch.rows) {
      const { spans, style } = parseLine(raw, this.styles[stream] ?? plain);
      this.styles[stream] = style;
      this.push({ stream, time, text: plainText(spans), spans });
    }
    this.forget();
  }

  replace(batch: LogBatch): void {
    this.clear();
    this.append(batch);
  }

  clear(): void {
    this.lines.clear();
    this.styles = {};
    this.found = [];
    this.skipped = 0;
  }

  /** Search for `text` from now on, also in lines to come; upper and lower case are the same. */
  search(text: string): void {
    this.needle = text.toLowerCase();
    this.found = [];
    if (!this.needle) return;
    for (let position = this.lines.first; position < this.lines.end; position++) this.look(position);
  }

  get matches(): readonly Match[] {
    return this.found;
  }

  /** Where in `line` the searched text is, and how long it is. */
  occurrences(line: Line): { starts: number[]; length: number } {
    const starts: number[] = [];
    const length = this.needle.length;
    if (length && line.stream !== 0) {
      const text = line.text.toLowerCase();
      for (let at = text.indexOf(this.needle); at >= 0; at = text.indexOf(this.needle, at + length)) starts.push(at);
    }
    return { starts, length };
  }

  /** All that is held, as text. */
  get text(): string {
    let all = "";
    for (const line of this.lines) all += `${line.text}\n`;
    return all;
  }

  private push(line: Line): void {
    this.lines.push(line);
    if (this.needle) this.look(this.lines.end - 1);
  }

  private look(position: number): void {
    const line = this.lines.at(position);
    if (!line || this.found.length >= MATCHES_KEPT) return;
    for (const from of this.occurrences(line).starts) this.found.push({ line: position, from });
  }

  private forget(): void {
    const { first } = this.lines;
    if ((this.found[0]?.line ?? first) >= first) return;
    const kept = this.found.findIndex((match) => match.line >= first);
    this.found = kept < 0 ? [] : this.found.slice(kept);
  }
}

export interface Piece {
  text: string;
  style: Style;
  marked: boolean;
}

/** The spans of a line cut at the edges of what is found in it. */
export function cut(spans: readonly Span[], starts: readonly number[], length: number): Piece[] {
  if (!starts.length) return spans.map(({ text, style }) => ({ text, style, marked: false }));
  const pieces: Piece[] = [];
  let at = 0;
  let next = 0;
  for (const { text, style } of spans) {
    let from = 0;
    while (from < text.length) {
      while (next < starts.length && (starts[next] as number) + length <= at + from) next += 1;
      const start = (starts[next] ?? Number.POSITIVE_INFINITY) - at;
      const marked = start <= from;
      const to = Math.min(text.length, marked ? start + length : start);
      pieces.push({ text: text.slice(from, to), style, marked });
      from = to;
    }
    at += text.length;
  }
  return pieces;
}
