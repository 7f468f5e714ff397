// What a page knows of one terminal, however many views show it.

import { Channel, type Model, page } from "../widgets/channel.ts";
import type {
  First,
  TerminalFacts,
  TerminalParts,
  TerminalReplay,
  TerminalState,
  ToKernel,
} from "../widgets/messages.ts";
import { Keys, Output } from "./flow.ts";
import { TerminalView } from "./view.ts";

export interface TerminalModel extends Model {
  send(content: ToKernel, callbacks?: unknown, buffers?: ArrayBufferView[]): void;
}

// an output that is drawn anew asks for a view right after it has let the former one go
const IDLE_MS = 3000;
const ASK_AGAIN_MS = 1500;
const NOTHING = new Uint8Array();

export class TerminalStore {
  facts: TerminalFacts | null = null;
  state: TerminalState | null = null;
  /** What the reader chose: lines, letters, and whether a screen reader reads. 0 lines: as the kernel says. */
  readonly choices = { rows: 0, fontSize: 13, reader: false };
  readonly output = new Output((at) => this.model.send({ kind: "taken", page, at }));
  readonly keys = new Keys((number, data, answer) =>
    this.model.send({ kind: "keys", page, number, answer }, undefined, [data]),
  );
  readonly channel: Channel<TerminalParts, TerminalReplay>;
  private readonly views = new Set<TerminalView>();
  private idle: { view: TerminalView; timer: ReturnType<typeof setTimeout> }[] = [];
  private buffers: readonly DataView[] = [];
  private told = "";
  private toldAt = 0;
  private painted = "";

  constructor(
    private readonly model: TerminalModel,
    first: First<TerminalReplay> | null,
  ) {
    this.channel = new Channel<TerminalParts, TerminalReplay>(model, this, first);
  }

  take(message: Parameters<typeof this.channel.take>[0], buffers: readonly DataView[]): void {
    this.buffers = buffers;
    this.channel.take(message);
    this.buffers = [];
  }

  replay({ facts, state, screen }: TerminalReplay): void {
    this.facts = facts;
    this.state = state;
    this.output.replace(screen.at, this.bytes());
  }

  update({ state, output, cleared, screen, taken }: TerminalParts): void {
    if (state) this.state = state;
    if (screen) this.output.replace(screen.at, this.bytes());
    else if (cleared) {
      this.keys.reset();
      this.output.replace(this.output.total, NOTHING);
    }
    if (output) this.output.add(this.bytes());
    const mine = taken?.[page];
    if (mine) this.keys.taken(mine);
  }

  /** Say how large the terminal is to be; `again` also if it was said before, as by the page that is used now. */
  size(rows: number, columns: number, again: boolean): void {
    const told = `${rows} ${columns}`;
    const is = this.state && `${this.state.rows} ${this.state.columns}`;
    // the first messages of a page may have to wait until a cell has ended, and later ones not
    const waits = this.state?.status === "waiting" && Date.now() - this.toldAt > ASK_AGAIN_MS;
    if (told === this.told && !waits && !(again && is !== told)) return;
    this.told = told;
    this.toldAt = Date.now();
    this.model.send({ kind: "size", page, rows, columns });
  }

  /** Say what stands on the screen, for a notebook without a kernel; with `left` nobody types now. */
  paint(text: string, left: boolean): void {
    if (text === this.painted && !left) return;
    this.painted = text;
    this.model.send({ kind: "screen", page, text, left });
  }

  /** Whether somebody is in one of its views. */
  get used(): boolean {
    return [...this.views].some((view) => view.used);
  }

  mount(el: HTMLElement, signal: AbortSignal): void {
    const view = this.wake() ?? new TerminalView(this);
    this.views.add(view);
    view.attach(el, signal);
    signal.addEventListener("abort", () => {
      this.views.delete(view);
      this.rest(view);
    });
  }

  private bytes(): Uint8Array {
    const [view] = this.buffers;
    // a copy, since what it lies in belongs to the whole message
    return view ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice() : NOTHING;
  }

  private wake(): TerminalView | null {
    const idle = this.idle.shift();
    if (idle) clearTimeout(idle.timer);
    return idle?.view ?? null;
  }

  private rest(view: TerminalView): void {
    const timer = setTimeout(() => this.wake()?.dispose(), IDLE_MS);
    this.idle.push({ view, timer });
  }
}
