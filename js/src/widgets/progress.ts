// The build progress: each step a row, with its state, its time and its output.

import { parseLine, plain, type Style } from "./ansi.ts";
import { Channel, type Model } from "./channel.ts";
import { every, h, perFrame, setAttribute, setText } from "./dom.ts";
import { formatBytes, formatCount, formatDuration } from "./format.ts";
import { span } from "./log_view.ts";
import type { BuildParts, BuildState, First, Step, StepOutput } from "./messages.ts";

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
  running: ["running", "busy"],
  cached: ["cached", "calm"],
  done: ["done", "good"],
  failed: ["failed", "bad"],
};

class ProgressView {
  private readonly root = h("article", {
    class: "labc labc-build",
    "data-lm-suppress-shortcuts": "true",
    "aria-label": "Image build",
  });
  private readonly title = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge", role: "status" });
  private readonly time = h("span", { class: "labc-muted labc-uptime" });
  private readonly bar = h("div", {
    class: "labc-progress",
    role: "progressbar",
    "aria-label": "Steps",
    "aria-valuemin": 0,
  });
  private readonly filled = h("div", { class: "labc-progress-filled" });
  private readonly list = h("ol", { class: "labc-steps" });
  private readonly result = h("div", { class: "labc-result" });
  private readonly rows = new Map<number, StepRow>();

  constructor(
    private readonly store: BuildStore,
    el: HTMLElement,
    private readonly signal: AbortSignal,
  ) {
    this.bar.append(this.filled);
    const line = h("div", { class: "labc-line" }, this.title, this.badge, this.time);
    this.root.append(h("header", { class: "labc-head" }, line), this.bar, this.list, this.result);
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    signal.addEventListener("abort", () => this.root.remove());
    const draw = perFrame(() => this.draw(), signal);
    store.channel.view(draw, signal);
    every(200, () => store.build?.status === "running" && draw(), signal);
    this.draw();
  }

  private draw(): void {
    const { build, steps, channel } = this.store;
    if (!build) return;
    const now = channel.now();
    setText(this.title, build.tags[0] ? `Build ${build.tags[0]}` : "Build");
    const [text, tone] =
      build.status === "running"
        ? ["building", "busy"]
        : build.status === "done"
          ? ["built", "good"]
          : ["failed", "bad"];
    setText(this.badge, text);
    setAttribute(this.badge, "data-tone", tone);
    setAttribute(this.root, "data-status", build.status);
    setText(this.time, formatDuration(build.duration_s ?? Math.max(0, now - build.started_at)));
    const all = [...steps.values()].sort((one, other) => one.index - other.index);
    const total = Math.max(all.length, ...all.map((step) => step.total), 1);
    const ready = all.filter((step) => step.status === "done" || step.status === "cached").length;
    setAttribute(this.bar, "aria-valuenow", ready);
    setAttribute(this.bar, "aria-valuemax", total);
    this.filled.style.width = `${build.status === "done" ? 100 : (100 * ready) / total}%`;
    for (const [index, row] of this.rows) {
      if (steps.has(index)) continue;
      row.element.remove();
      this.rows.delete(index);
    }
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
    this.showResult(build);
  }

  private showResult(build: BuildState): void {
    const { failure } = build;
    const key = JSON.stringify([build.status, build.image_id, build.tags, failure]);
    if (this.result.dataset.key === key) return;
    this.result.dataset.key = key;
    this.result.replaceChildren();
    if (build.status === "done") {
      const id = build.image_id.replace(/^sha256:/, "").slice(0, 12);
      this.result.append(h("span", { class: "labc-muted" }, "image "), h("code", { title: build.image_id }, id));
      for (const tag of build.tags) this.result.append(h("span", { class: "labc-image" }, tag));
    } else if (failure) {
      const where = failure.line ? `Dockerfile line ${failure.line}: ` : "";
      const note = h("div", { class: "labc-note-box", "data-tone": "bad" }, where + failure.message);
      if (failure.source) note.append(h("pre", { class: "labc-source" }, numbered(failure.source, failure.line)));
      if (failure.hint) note.append(h("span", { class: "labc-hint" }, failure.hint));
      this.result.append(note);
    }
    this.result.hidden = this.result.childElementCount === 0;
  }
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
      this.time,
      this.badge,
    );
    this.body.append(this.message, this.output);
    this.element = h("li", { class: "labc-step" }, this.head, this.body);
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
    const content = Boolean(tail?.text) || !this.message.hidden;
    this.open =
      content && (this.store.opened.get(this.index) ?? (step.status === "running" || step.status === "failed"));
    this.body.hidden = !this.open;
    setAttribute(this.head, "aria-expanded", String(this.open));
    setAttribute(this.head, "aria-disabled", content ? null : "true");
    const running = step.status === "running" && build.status === "running" && step.started_at !== null;
    const seconds = step.duration_s ?? (running ? Math.max(0, now - (step.started_at ?? now)) : null);
    setText(this.time, step.status === "cached" || seconds === null ? "" : formatDuration(seconds));
    if (this.open && tail) this.showOutput(tail);
    const key = JSON.stringify(step);
    if (key === this.shownKey) return;
    this.shownKey = key;
    this.showStep(step);
  }

  private showStep(step: Step): void {
    setAttribute(this.element, "data-status", step.status);
    setText(this.number, step.total ? `${step.index}/${step.total}` : String(step.index));
    this.number.style.minWidth = `${2 * String(step.total).length + 1}ch`;
    const [keyword = "", ...rest] = step.text.split(/(?<=^\S+)(?=\s)/);
    this.text.replaceChildren(h("b", {}, keyword), rest.join(""));
    setAttribute(this.text, "title", step.line ? `${step.text}\n(Dockerfile line ${step.line})` : step.text);
    if (step.stage) this.text.prepend(h("span", { class: "labc-stage" }, step.stage));
    const [text, tone] = BADGES[step.status] ?? [step.status, "calm"];
    setText(this.badge, text);
    setAttribute(this.badge, "data-tone", tone);
    const size = step.layer_size_bytes ? `layer of ${formatBytes(step.layer_size_bytes)}` : "";
    setAttribute(this.badge, "title", [size, step.reason].filter(Boolean).join("; ") || null);
    setText(this.message, step.line ? `Dockerfile line ${step.line}: ${step.message}` : step.message);
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
    this.output.hidden = !tail.text;
    if (atEnd) this.output.scrollTop = this.output.scrollHeight;
  }
}
