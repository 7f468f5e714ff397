// The two streams of a terminal, with a window each: output is acknowledged once it is painted, keys wait until the kernel has taken others.
// Knows no document and no comm.

/** Paints output; calls `done` once it is painted. What is `old` was answered before, if it asked anything. */
export interface Sink {
  write(data: Uint8Array, old: boolean, done: () => void): void;
  clear(): void;
}

const ACKNOWLEDGE_BYTES = 1 << 16;
const ACKNOWLEDGE_MS = 100;
const KEPT_BYTES = 1 << 18;
const PIECE_BYTES = 1 << 14;
const WINDOW_BYTES = 1 << 16;

/** Output: from the kernel to any number of sinks; a sink that comes later gets the last of it. */
export class Output {
  /** How many bytes came altogether. */
  total = 0;
  private readonly sinks = new Map<Sink, number>();
  private kept: Uint8Array[] = [];
  private keptBytes = 0;
  private acknowledged = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly acknowledge: (at: number) => void) {}

  /** The next bytes. */
  add(data: Uint8Array): void {
    this.total += data.length;
    this.keep(data);
    for (const sink of this.sinks.keys()) this.write(sink, data, false);
    this.settle();
  }

  /** Forget what was; `data` paints the screen as it was after `at` bytes. */
  replace(at: number, data: Uint8Array): void {
    this.total = at;
    this.kept = [];
    this.keptBytes = 0;
    this.keep(data);
    for (const sink of this.sinks.keys()) {
      sink.clear();
      this.write(sink, data, true);
    }
    this.settle();
  }

  open(sink: Sink): void {
    this.sinks.set(sink, 0);
    this.write(sink, joined(this.kept), true);
  }

  close(sink: Sink): void {
    this.sinks.delete(sink);
    this.settle();
  }

  private write(sink: Sink, data: Uint8Array, old: boolean): void {
    const at = this.total;
    sink.write(data, old, () => {
      const before = this.sinks.get(sink);
      if (before === undefined) return;
      this.sinks.set(sink, Math.max(before, at));
      this.settle();
    });
  }

  private keep(data: Uint8Array): void {
    this.kept.push(data);
    this.keptBytes += data.length;
    while (this.keptBytes - (this.kept[0]?.length ?? 0) > KEPT_BYTES) this.keptBytes -= this.kept.shift()?.length ?? 0;
  }

  /** Acknowledge what all sinks have painted: much of it at once, little of it soon. */
  private settle(): void {
    const painted = Math.min(this.total, ...this.sinks.values());
    if (painted - this.acknowledged >= ACKNOWLEDGE_BYTES) this.tell(painted);
    else if (painted > this.acknowledged) this.timer ??= setTimeout(() => this.tellAll(), ACKNOWLEDGE_MS);
  }

  private tellAll(): void {
    this.timer = undefined;
    const painted = Math.min(this.total, ...this.sinks.values());
    if (painted > this.acknowledged) this.tell(painted);
  }

  private tell(painted: number): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.acknowledged = painted;
    this.acknowledge(painted);
  }
}

interface Piece {
  data: Uint8Array;
  answer: boolean;
}

/** Keys: numbered pieces, of which no more than the window is on the way. */
export class Keys {
  private number = 0;
  private onTheWay = 0;
  private waiting: Piece[] = [];

  constructor(private readonly send: (number: number, data: Uint8Array, answer: boolean) => void) {}

  put(data: Uint8Array, answer: boolean): void {
    for (let at = 0; at < data.length; at += PIECE_BYTES) {
      this.waiting.push({ data: data.slice(at, at + PIECE_BYTES), answer });
    }
    this.go();
  }

  /** The kernel has passed on so many more bytes. */
  taken(bytes: number): void {
    this.onTheWay = Math.max(0, this.onTheWay - bytes);
    this.go();
  }

  /** The command is another: nothing of what was typed for the former one is on the way. */
  reset(): void {
    this.waiting = [];
    this.onTheWay = 0;
  }

  private go(): void {
    for (let next = this.waiting[0]; next; next = this.waiting[0]) {
      if (this.onTheWay > 0 && this.onTheWay + next.data.length > WINDOW_BYTES) return;
      this.waiting.shift();
      this.onTheWay += next.data.length;
      this.send(this.number++, next.data, next.answer);
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Whether this is what a terminal says by itself when a program asks: where the cursor is, what it is, its colours (xterm, ctlseqs). */
export function isAnswer(text: string): boolean {
  return /^(\x1b\[[?>=]?[\d;]*(\$y|[Rcnt])|\x1b[\]P][\s\S]*)$/.test(text);
}
