// The build progress: each step a row, with its state, its time and its output.

import { parseLine, plain, type Style } from "./ansi.ts";
import { Channel, type Model } from "./channel.ts";
import { h, setAttribute, setText } from "./dom.ts";
import { formatBytes, formatCount, formatDuration, formatSize } from "./format.ts";
import { span } from "./log_view.ts";
import type { BuildParts, BuildState, First, Lane, Step, StepOutput } from "./messages.ts";
import { dropRows, failureNote, ProgressFrame } from "./progress_frame.ts";

const OUTPUT_KEPT = 64 * 1024;
const LINES_SHOWN = 400;

export interface BuildReplay {
  build: BuildState;
  steps: Step[];
  output: StepOutput[];
}

/** The end of one step's output. */
export class OutputTail {
  text = "";
  skipped = 0;

  append({ text, skipped }: StepOutput): void {
    this.skipped += skipped;
    this.text += text;
    if (this.text.length <= OUTPUT_KEPT) return;
    const cut = this.text.length - OUTPUT_KEPT;
    const next = this.text.indexOf("\n", cut);
    const from = next < 0 ? cut : next + 1;
    this.skipped += from;
    this.text = this.text.slice(from);
  }
}

export class BuildStore {
  build: BuildState | null = null;
  readonly steps = new Map<number, Step>();
  readonly output = new Map<number, OutputTail>();
  /** Steps that the reader opened (true) or closed (false) by hand. */
  readonly opened = new Map<number, boolean>();
  readonly channel: Channel<BuildParts, BuildReplay>;

  constructor(model: Model, first: First<BuildReplay> | null) {
    this.channel = new Channel<BuildParts, BuildReplay>(model, this, first);
  }

  replay(data: BuildReplay): void {
    this.steps.clear();
    this.output.clear();
    this.update(data);
  }

  update({ build, steps, output }: BuildParts): void {
    if (build) this.build = build;
    for (const step of steps ?? []) this.steps.set(step.index, step);
    for (const part of output ?? []) {
      const tail = this.output.get(part.index) ?? new OutputTail();
      tail.append(part);
      this.output.set(part.index, tail);
    }
  }

  mount(el: HTMLElement, signal: AbortSignal): void {
    new ProgressView(this, el, signal);
  }
}

const BADGES: Record<string, [string, string]> = {
  waiting: ["waiting", "calm"],
  cancelled: ["cancelled", "warn"],
  running: ["running", "busy"],
  cached: ["cached", "calm"],
  done: ["done", "good"],
  failed: ["failed", "bad"],
};
/** Of a step that another build does meanwhile. */
const WAITS: [string, string] = ["held up", "warn"];

const WORDS = { running: "building", done: "built", failed: "failed", cancelled: "cancelled" };

class ProgressView {
  private readonly list = h("ol", { class: "labc-steps" });
  private readonly cancel = h("button", { type: "button", class: "labc-button", "data-action": "cancel" }, "Cancel");
  private readonly frame = new ProgressFrame(
    "build",
    "Steps",
    this.list,
    h("span", { class: "labc-spring" }),
    this.cancel,
  );
  private readonly rows = new Map<number, StepRow>();

  constructor(
    private readonly store: BuildStore,
    el: HTMLElement,
    private readonly signal: AbortSignal,
  ) {
    const running = () => store.build?.status === "running";
    const press = () => {
      if (store.build) store.build.cancelling = true;
      store.channel.act("cancel");
      this.draw();
    };
    this.cancel.addEventListener("click", press, { signal });
    this.frame.mount(el, store.channel, running, () => this.draw(), signal);
  }

  private draw(): void {
    const { build, steps, channel } = this.store;
    if (!build) return;
    const now = channel.now();
    this.frame.show(build.tags[0] ? `Build ${build.tags[0]}` : "Build", "Image build", build, WORDS[build.status], now);
    this.cancel.hidden = build.status !== "running";
    this.cancel.disabled = build.cancelling;
    setText(this.cancel, build.cancelling ? "Cancelling …" : "Cancel");
    setAttribute(this.cancel, "title", "Stop every step at once; what is finished is kept");
    const all = [...steps.values()].sort((one, other) => one.index - other.index);
    const total = Math.max(all.length, ...all.map((step) => step.total), 1);
    const ready = all.filter((step) => step.status === "done" || step.status === "cached").length;
    this.frame.showBar(ready, total, build.status === "done");
    dropRows(this.rows, steps);
    for (const step of all) {
      let row = this.rows.get(step.index);
      if (!row) {
        row = new StepRow(this.store, step.index, () => this.draw(), this.signal);
        this.rows.set(step.index, row);
        const after = all.find((other) => other.index > step.index && this.rows.has(other.index));
        this.list.insertBefore(row.element, after ? (this.rows.get(after.index)?.element ?? null) : null);
      }
      row.show(step, build, now);
    }
    const key = JSON.stringify([build.status, build.image_id, build.tags, build.failure]);
    this.frame.showResult(key, () => resultOf(build));
  }
}

function resultOf({ status, image_id, tags, failure }: BuildState): HTMLElement[] {
  if (status === "done") {
    const id = image_id.replace(/^sha256:/, "").slice(0, 12);
    return [
      h("span", { class: "labc-muted" }, "image "),
      h("code", { title: image_id }, id),
      ...tags.map((tag) => h("span", { class: "labc-image" }, tag)),
    ];
  }
  if (!failure) return [];
  const where = failure.line ? `Dockerfile line ${failure.line}: ` : "";
  const source = failure.source ? [h("pre", { class: "labc-source" }, numbered(failure.source, failure.line))] : [];
  const note = failureNote({ ...failure, message: where + failure.message }, ...source);
  if (status === "cancelled") setAttribute(note, "data-tone", "warn");
  return [note];
}

/** Source lines with their numbers in the Dockerfile in front. */
export function numbered(source: string, first: number): string {
  if (first <= 0) return source;
  const lines = source.replace(/\n$/, "").split("\n");
  const width = String(first + lines.length - 1).length;
  return lines.map((line, index) => `${String(first + index).padStart(width)} │ ${line}`).join("\n");
}

class StepRow {
  readonly element: HTMLLIElement;
  private readonly head: HTMLButtonElement;
  private readonly number = h("span", { class: "labc-step-number" });
  private readonly text = h("code", { class: "labc-step-text" });
  private readonly badge = h("span", { class: "labc-badge" });
  private readonly time = h("span", { class: "labc-muted labc-step-time" });
  private readonly size = h("span", { class: "labc-muted labc-step-size" });
  private readonly lanes = h("span", { class: "labc-lanes", "aria-hidden": "true" });
  private readonly reason = h("div", { class: "labc-muted labc-step-reason" });
  private readonly body = h("div", { class: "labc-step-body" });
  private readonly output = h("pre", { class: "labc-output", tabindex: 0, "aria-label": "Output of the step" });
  private readonly message = h("div", { class: "labc-note-box", "data-tone": "bad" });
  private shownKey = "";
  private shownText = "";
  private open = false;

  constructor(
    private readonly store: BuildStore,
    private readonly index: number,
    redraw: () => void,
    signal: AbortSignal,
  ) {
    this.head = h(
      "button",
      { type: "button", class: "labc-step-head", "aria-expanded": "false" },
      h("span", { class: "labc-chevron", "aria-hidden": "true" }),
      this.number,
      this.text,
      this.size,
      this.time,
      this.badge,
    );
    this.body.append(this.reason, this.message, this.output);
    this.element = h("li", { class: "labc-step" }, this.lanes, this.head, this.body);
    this.head.addEventListener(
      "click",
      () => {
        store.opened.set(index, !this.open);
        redraw();
      },
      { signal },
    );
  }

  show(step: Step, build: BuildState, now: number): void {
    const tail = this.store.output.get(this.index);
    // why the build failed is said below, once
    this.message.hidden = !step.message || build.failure !== null;
    const loud = Boolean(tail?.text) || !this.message.hidden || step.waits_for !== "";
    const content = loud || step.reason !== "";
    const shows = loud && ["running", "failed", "cancelled"].includes(step.status);
    this.open = content && (this.store.opened.get(this.index) ?? shows);
    this.output.hidden = !tail?.text;
    this.body.hidden = !this.open;
    setAttribute(this.head, "aria-expanded", String(this.open));
    setAttribute(this.head, "aria-disabled", content ? null : "true");
    const running = step.status === "running" && build.status === "running" && step.started_at !== null;
    const seconds = step.duration_s ?? (running ? Math.max(0, now - (step.started_at ?? now)) : null);
    setText(this.time, step.status === "cached" || seconds === null ? "" : formatDuration(seconds));
    if (this.open && tail) this.showOutput(tail);
    const key = JSON.stringify([step, build.status]);
    if (key === this.shownKey) return;
    this.shownKey = key;
    this.showStep(step, build);
  }

  private showStep(step: Step, build: BuildState): void {
    setAttribute(this.element, "data-status", step.status);
    this.showLanes(step.lane);
    setText(this.number, step.total ? `${step.index}/${step.total}` : String(step.index));
    this.number.style.minWidth = `${2 * String(step.total).length + 1}ch`;
    const [keyword = "", ...rest] = step.text.split(/(?<=^\S+)(?=\s)/);
    this.text.replaceChildren(h("b", {}, keyword), rest.join(""));
    setAttribute(this.text, "title", step.line ? `${step.text}\n(Dockerfile line ${step.line})` : step.text);
    if (step.stage) this.text.prepend(h("span", { class: "labc-stage" }, step.stage));
    const [text, tone] = step.waits_for ? WAITS : (BADGES[step.status] ?? [step.status, "calm"]);
    setText(this.badge, step.status === "waiting" && build.status !== "running" ? "not begun" : text);
    setAttribute(this.badge, "data-tone", tone);
    const size = step.layer_size_bytes ? formatSize(step.layer_size_bytes) : "";
    setText(this.size, size);
    setAttribute(this.size, "title", size && "size of its layer");
    setAttribute(this.badge, "title", [size && `layer of ${size}`, step.reason].filter(Boolean).join("; ") || null);
    const missed = step.reason && `not from the cache: ${step.reason}`;
    setText(this.reason, step.waits_for ? `waiting for ${step.waits_for}` : missed);
    this.reason.hidden = !this.reason.textContent;
    setText(this.message, step.line ? `Dockerfile line ${step.line}: ${step.message}` : step.message);
  }

  private showLanes(lane: Lane | null): void {
    this.lanes.hidden = lane === null;
    if (lane === null) return;
    const first = Math.min(lane.own, ...lane.joins);
    const last = Math.max(lane.own, ...lane.joins);
    const marks = lane.above.map((above, position) => {
      const mark = h("span", { class: "labc-lane", "data-lane": position % 6 });
      if (above) mark.append(h("i", { class: "labc-lane-above" }));
      if (lane.below[position]) mark.append(h("i", { class: "labc-lane-below" }));
      if (position > first && position <= last) mark.append(h("i", { class: "labc-lane-left" }));
      if (position >= first && position < last) mark.append(h("i", { class: "labc-lane-right" }));
      if (position === lane.own) mark.append(h("i", { class: "labc-lane-step" }));
      return mark;
    });
    this.lanes.replaceChildren(...marks);
  }

  private showOutput(tail: OutputTail): void {
    if (tail.text === this.shownText) return;
    this.shownText = tail.text;
    const { scrollTop, clientHeight, scrollHeight } = this.output;
    const atEnd = scrollTop + clientHeight >= scrollHeight - 8;
    const lines = tail.text.replace(/\n$/, "").split("\n");
    const hidden = Math.max(0, lines.length - LINES_SHOWN);
    const nodes: Node[] = [];
    if (hidden || tail.skipped) {
      const what = hidden ? `${formatCount(hidden)} earlier lines` : formatBytes(tail.skipped);
      nodes.push(h("span", { class: "labc-note" }, `… ${what} not shown\n`));
    }
    let style: Style = plain;
    for (const line of lines.slice(hidden)) {
      const parsed = parseLine(line, style);
      style = parsed.style;
      for (const part of parsed.spans) nodes.push(span(part.text, part.style));
      nodes.push(document.createTextNode("\n"));
    }
    this.output.replaceChildren(...nodes);
    if (atEnd) this.output.scrollTop = this.output.scrollHeight;
  }
}
