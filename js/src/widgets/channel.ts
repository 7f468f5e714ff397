// The browser's end of one widget: numbered updates in, acts out, and the word that somebody looks. Knows no document but its visibility.

import type { First, FromKernel, ToKernel } from "./messages.ts";

export interface Model {
  send(content: ToKernel): void;
}

export interface Receiver<Parts, Replay> {
  replay(data: Replay): void;
  update(data: Parts): void;
}

const WATCH_EVERY_MS = 10_000;
const ASK_AGAIN_MS = 2_000;
const SILENCE_MS = 25_000;

/** Names this browser page. */
export const page = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) =>
  byte.toString(16).padStart(2, "0"),
).join("");

export class Channel<Parts, Replay> {
  private seq = -1;
  private asked = 0;
  private heard = Date.now();
  private views = 0;
  private beat: ReturnType<typeof setInterval> | undefined;
  private readonly changed = new Set<() => void>();
  /** Kernel's clock minus this page's, in seconds. */
  private skew = 0;

  constructor(
    private readonly model: Model,
    private readonly receiver: Receiver<Parts, Replay>,
    first: First<Replay> | null,
  ) {
    if (first) this.take({ kind: "replay", ...first.replay });
    else this.ask();
  }

  /** Whether anything has come from the kernel yet. */
  get known(): boolean {
    return this.seq >= 0;
  }

  /** Whether the kernel has been silent for so long that it is busy or gone. */
  get silent(): boolean {
    return Date.now() - this.heard > SILENCE_MS;
  }

  /** Now, by the kernel's clock, in seconds. */
  now(): number {
    return Date.now() / 1000 + this.skew;
  }

  /** Call `listener` after every change, until `signal` aborts; tells the kernel that there is one view more. */
  view(listener: () => void, signal: AbortSignal): void {
    this.changed.add(listener);
    this.watch(1);
    signal.addEventListener("abort", () => {
      this.changed.delete(listener);
      this.watch(-1);
    });
  }

  act(action: string): void {
    this.model.send({ kind: "act", action });
  }

  take(message: FromKernel<Parts, Replay>): void {
    if (message.kind === "code") return;
    this.heard = Date.now();
    this.skew = message.now - this.heard / 1000;
    if (message.kind === "replay") {
      // replays asked for by other pages come here too
      if (message.seq === this.seq) return;
      this.seq = message.seq;
      this.asked = 0;
      this.receiver.replay(message.data);
    } else {
      if (!this.known || message.seq > this.seq + 1) {
        this.ask();
        return;
      }
      if (message.seq <= this.seq) return;
      this.seq = message.seq;
      this.receiver.update(message.data);
    }
    for (const listener of this.changed) listener();
  }

  private ask(): void {
    const now = Date.now();
    if (now - this.asked < ASK_AGAIN_MS) return;
    this.asked = now;
    this.model.send({ kind: "ready", page });
  }

  private watch(more: number): void {
    this.views += more;
    const tell = () => {
      if (!this.known) this.ask();
      this.model.send({ kind: "watch", page, views: this.views });
      for (const listener of this.changed) listener();
    };
    clearInterval(this.beat);
    this.beat = undefined;
    if (this.views > 0) this.beat = setInterval(tell, WATCH_EVERY_MS);
    tell();
  }
}
