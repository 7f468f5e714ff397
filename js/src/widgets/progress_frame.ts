// What the progress of anything that ends looks like: its name with a state and a time, a bar, a list of rows, and what came of it.

import type { Channel } from "./channel.ts";
import { every, h, keepKeys, perFrame, setAttribute, setText } from "./dom.ts";
import { formatDuration } from "./format.ts";
import type { Failure } from "./messages.ts";

export type Tone = "busy" | "good" | "bad" | "warn";

const TONES: Record<string, Tone> = { running: "busy", done: "good", cancelled: "warn" };

export interface Progress {
  status: string;
  started_at: number;
  /** Null while it goes on. */
  duration_s: number | null;
}

export class ProgressFrame {
  readonly result = h("div", { class: "labc-result" });
  private readonly root: HTMLElement;
  private readonly title = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge", role: "status" });
  private readonly time = h("span", { class: "labc-muted labc-uptime" });
  private readonly bar = h("div", { class: "labc-progress", role: "progressbar", "aria-valuemin": 0 });
  private readonly filled = h("div", { class: "labc-progress-filled" });

  /** `kind` names the element, `list` holds the rows, and `more` stands behind the time. */
  constructor(kind: string, label: string, list: HTMLElement, ...more: HTMLElement[]) {
    this.root = h("article", { class: `labc labc-${kind}`, "data-lm-suppress-shortcuts": "true" });
    setAttribute(this.bar, "aria-label", label);
    this.bar.append(this.filled);
    const line = h("div", { class: "labc-line" }, this.title, this.badge, this.time, ...more);
    this.root.append(h("header", { class: "labc-head" }, line), this.bar, list, this.result);
  }

  /** Show it in `el`, and call `draw` now, when something came, and while it is `running`. */
  mount<Parts, Replay>(
    el: HTMLElement,
    channel: Channel<Parts, Replay>,
    running: () => boolean,
    draw: () => void,
    signal: AbortSignal,
  ): void {
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    signal.addEventListener("abort", () => this.root.remove());
    keepKeys(this.root, signal);
    const soon = perFrame(draw, signal);
    channel.view(soon, signal);
    every(200, () => running() && soon(), signal);
    draw();
  }

  show(name: string, label: string, progress: Progress, words: string, now: number): void {
    const { status, started_at, duration_s } = progress;
    const tone = TONES[status] ?? "bad";
    setText(this.title, name);
    setAttribute(this.root, "aria-label", label);
    setAttribute(this.root, "data-status", status);
    setText(this.badge, words);
    setAttribute(this.badge, "data-tone", tone);
    setText(this.time, formatDuration(duration_s ?? Math.max(0, now - started_at)));
  }

  /** `value` of `most`; all of it when it is `done`. */
  showBar(value: number, most: number, done: boolean): void {
    setAttribute(this.bar, "aria-valuenow", value);
    setAttribute(this.bar, "aria-valuemax", most);
    this.filled.style.width = `${done ? 100 : (100 * value) / most}%`;
  }

  /** What came of it: made anew by `make` when `key` is another than before, so that a selection in it lives on. */
  showResult(key: string, make: () => (Node | string)[]): void {
    if (this.result.dataset.key === key) return;
    this.result.dataset.key = key;
    this.result.replaceChildren(...make());
    this.result.hidden = this.result.childElementCount === 0;
  }
}

/** An error and what to do about it, with `more` between them. */
export function failureNote({ message, hint }: Failure, ...more: HTMLElement[]): HTMLElement {
  return h(
    "div",
    { class: "labc-note-box", "data-tone": "bad" },
    message,
    ...more,
    hint && h("span", { class: "labc-hint" }, hint),
  );
}

/** Take away the rows of what is not there any more. */
export function dropRows<Key>(rows: Map<Key, { element: HTMLElement }>, there: ReadonlyMap<Key, unknown>): void {
  for (const [key, row] of rows) {
    if (there.has(key)) continue;
    row.element.remove();
    rows.delete(key);
  }
}
