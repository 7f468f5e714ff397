// Where a reader stands in the making of a container, and what is to be seen from there. Knows no document.

import type { Operation, Stage } from "./glass_messages.ts";

/** Operations of one stage that follow each other. */
export interface Run {
  stage: string;
  first: number;
  count: number;
}

export type PartState = "made" | "now" | "coming" | "failed";

/** A label of the picture; `operation` is the first that makes it, `made` how many of `count` are there. */
export interface Part {
  label: string;
  operation: number;
  made: number;
  count: number;
  state: PartState;
}

export function runsOf(operations: readonly Operation[]): Run[] {
  const runs: Run[] = [];
  operations.forEach(({ stage }, index) => {
    const last = runs.at(-1);
    if (last?.stage === stage) last.count += 1;
    else runs.push({ stage, first: index, count: 1 });
  });
  return runs;
}

export class Timeline {
  readonly runs: Run[];
  private done: number;

  constructor(
    readonly operations: readonly Operation[],
    readonly stages: readonly Stage[],
    position = operations.length,
  ) {
    this.runs = runsOf(operations);
    this.done = position;
  }

  /** How many operations have been done, where the reader stands. */
  get position(): number {
    return this.done;
  }

  get atEnd(): boolean {
    return this.done >= this.operations.length;
  }

  /** The operation that was done last; null at the beginning. */
  get current(): Operation | null {
    return this.operations[this.done - 1] ?? null;
  }

  goTo(position: number): void {
    this.done = Math.max(0, Math.min(this.operations.length, Math.round(position)));
  }

  move(by: number): void {
    this.goTo(this.done + by);
  }

  /** To the end of the run that comes, or back to the end of the one before. */
  moveRun(direction: 1 | -1): void {
    const ends = this.runs.map(({ first, count }) => first + count);
    const next =
      direction > 0 ? ends.find((end) => end > this.done) : [0, ...ends].reverse().find((end) => end < this.done);
    this.goTo(next ?? (direction > 0 ? this.operations.length : 0));
  }

  /** Whether the stage is being made, is there (something of it is to be seen), or comes; null where there is nothing of it. */
  stateOf(stage: string): PartState | null {
    const own = this.operations.flatMap((operation, index) =>
      operation.stage === stage ? [{ operation, index }] : [],
    );
    if (!own.length) return null;
    const done = own.filter(({ index }) => index < this.done);
    if (done.some(({ operation }) => operation.failed)) return "failed";
    if (this.current?.stage === stage) return "now";
    const seen = own.some(({ operation }) => operation.parts.length)
      ? done.filter(({ operation }) => operation.parts.length)
      : done;
    return seen.length ? "made" : "coming";
  }

  /** The labels of a stage; equal ones are counted as one. */
  partsOf(stage: string): Part[] {
    const parts = new Map<string, Part>();
    this.operations.forEach((operation, index) => {
      if (operation.stage !== stage) return;
      for (const label of operation.parts) {
        const part = parts.get(label) ?? { label, operation: index, made: 0, count: 0, state: "coming" };
        parts.set(label, part);
        part.count += 1;
        if (index >= this.done) continue;
        part.made += 1;
        if (operation.failed) part.state = "failed";
        else if (index === this.done - 1) part.state = "now";
        else if (part.state === "coming") part.state = "made";
      }
    });
    return [...parts.values()];
  }

  /** The numbers of the operations that are of one of these stages (of any, if there are none) and have the text in them. */
  found(stages: ReadonlySet<string>, text: string): number[] {
    const wanted = text.trim().toLowerCase();
    return this.operations.flatMap((operation, index) => {
      if (stages.size && !stages.has(operation.stage)) return [];
      const { name, man_page, text: words, note, by, result } = operation;
      return [name, man_page, words, note, by, result].some((word) => word.toLowerCase().includes(wanted))
        ? [index]
        : [];
    });
  }

  /** How long an operation took beside the longest one, from 0 to 1; short ones are drawn longer than they are, so that they are seen. */
  share(operation: Operation): number {
    const longest = Math.max(1, ...this.operations.map(({ duration_us }) => duration_us ?? 0));
    return operation.duration_us === null ? 0 : Math.max(0.02, Math.sqrt(operation.duration_us / longest));
  }
}

/** Where the walk of a container that is being made stands: behind what was done. */
export function doneOf(operations: readonly Operation[]): number {
  const planned = operations.findIndex(({ result }) => result === "planned");
  return planned < 0 ? operations.length : planned;
}

/** A time in microseconds as people read it: "7 µs", "1.2 ms", "3 s". */
export function formatMicroseconds(us: number): string {
  if (us < 1000) return `${us} µs`;
  const [value, unit] = us < 1_000_000 ? [us / 1000, "ms"] : [us / 1_000_000, "s"];
  return `${value < 10 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${unit}`;
}
