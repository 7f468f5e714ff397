// All operations in order, in the stages' runs, of which those are shown that are looked for.

import { h, onNumbered, setAttribute, setText } from "./dom.ts";
import type { Operation } from "./glass_messages.ts";
import { formatMicroseconds, type Timeline } from "./glass_timeline.ts";

const MARKS: Record<string, string> = { ok: "✓", planned: "·", unknown: "?" };

export class GlassList {
  readonly element = h("div", { class: "labg-list", role: "listbox", "aria-label": "Operations", tabindex: 0 });
  private readonly rows: HTMLElement[] = [];
  private readonly heads: HTMLElement[] = [];
  private readonly nothing = h("div", { class: "labg-nothing", hidden: true }, "nothing found");
  private readonly prefix = `labg-${Math.random().toString(36).slice(2)}`;
  private built: readonly Operation[] | null = null;
  private shown = -1;

  constructor(
    private readonly goTo: (position: number) => void,
    signal: AbortSignal,
  ) {
    onNumbered(this.element, "data-operation", (index) => this.goTo(index + 1), signal);
  }

  show(timeline: Timeline, stages: ReadonlySet<string>, text: string): void {
    if (this.built !== timeline.operations) this.build(timeline);
    const found = new Set(timeline.found(stages, text));
    timeline.operations.forEach((operation, index) => {
      const row = this.rows[index];
      if (!row) return;
      const done = index < timeline.position;
      row.hidden = !found.has(index);
      setAttribute(row, "aria-selected", String(index === timeline.position - 1));
      setAttribute(row, "data-state", operation.failed && done ? "failed" : done ? "done" : "coming");
    });
    timeline.runs.forEach(({ first, count }, index) => {
      const head = this.heads[index];
      if (head)
        head.hidden = !Array.from({ length: count }, (_, number) => first + number).some((one) => found.has(one));
    });
    this.nothing.hidden = found.size > 0;
    const current = this.rows[timeline.position - 1];
    setAttribute(this.element, "aria-activedescendant", current && !current.hidden ? current.id : null);
    if (this.shown !== timeline.position) {
      this.shown = timeline.position;
      this.reveal(current ?? this.heads[0]);
    }
  }

  /** Scroll the list, and nothing around it. */
  private reveal(row: HTMLElement | undefined): void {
    if (!row || row.hidden) return;
    const { scrollTop, clientHeight } = this.element;
    const top = row.offsetTop - this.element.offsetTop;
    if (top < scrollTop + 30) this.element.scrollTop = Math.max(0, top - 60);
    else if (top + row.offsetHeight > scrollTop + clientHeight)
      this.element.scrollTop = top + row.offsetHeight - clientHeight + 40;
  }

  private build(timeline: Timeline): void {
    this.built = timeline.operations;
    this.rows.length = this.heads.length = 0;
    this.shown = -1;
    const titles = new Map(timeline.stages.map(({ name, title }) => [name, title]));
    const lines: HTMLElement[] = [];
    for (const { stage, first, count } of timeline.runs) {
      const head = h(
        "div",
        { class: "labg-run", "data-stage": stage, role: "presentation" },
        titles.get(stage) ?? stage,
      );
      this.heads.push(head);
      lines.push(head);
      for (const [offset, operation] of timeline.operations.slice(first, first + count).entries()) {
        const row = this.row(timeline, operation, first + offset);
        this.rows.push(row);
        lines.push(row);
      }
    }
    this.element.replaceChildren(...lines, this.nothing);
  }

  private row(timeline: Timeline, operation: Operation, index: number): HTMLElement {
    const { name, man_page, duration_us, failed, result, text } = operation;
    const bar = h("span", { class: "labg-bar" });
    bar.style.width = `${100 * timeline.share(operation)}%`;
    const time = h("span", { class: "labg-time" });
    setText(time, duration_us === null ? "" : formatMicroseconds(duration_us));
    return h(
      "div",
      {
        class: "labg-row",
        role: "option",
        id: `${this.prefix}-${index}`,
        "data-operation": index,
        "data-stage": operation.stage,
      },
      h("span", { class: "labg-mark", title: result }, failed ? "✗" : (MARKS[result] ?? "·")),
      h("span", { class: "labg-call" }, h("b", {}, name), " ", h("span", { class: "labg-man" }, man_page)),
      h("span", { class: "labg-bar-room" }, bar),
      time,
      h("code", { class: "labg-words", title: text }, text),
    );
  }
}
