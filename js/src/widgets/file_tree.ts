// The files of a layer, or of a comparison, as a tree whose folders are asked for when they are opened, or as what a search found.

import { h, onResize } from "./dom.ts";
import { formatCount, formatSize } from "./format.ts";
import type { Answer, FileRow, Question } from "./layer_messages.ts";
import type { LayerStore } from "./layer_store.ts";

const ROWS = 200;
const MARKS: Record<string, string> = { added: "A", modified: "C", removed: "D" };

/** One line of the tree as it is to be shown. */
export type Line =
  | { kind: "file"; key: string; level: number; open: boolean | null; row: FileRow; whole: boolean }
  | { kind: "more"; key: string; level: number; parent: number; left: number }
  | { kind: "note"; key: string; level: number; text: string; tone: string; question: Question | null };

/** Which folders are open, and how much of each is wanted; one for each source, so that going back finds them as they were. */
export class TreeState {
  readonly open = new Set<number>();
  private readonly pages = new Map<number, number>();

  wanted(folder: number): number {
    return this.pages.get(folder) ?? 1;
  }

  more(folder: number): void {
    this.pages.set(folder, this.wanted(folder) + 1);
  }
}

/** Whether a row can be opened. */
export function holds(row: FileRow): boolean {
  return row[2] === "directory" && !(row[6] === "removed" && row[8].every((count) => count === 0));
}

/** The lines of a tree, as far as they are known; what is not is asked for. */
export function treeLines(
  ask: (question: Question) => Answer | null,
  source: string,
  state: TreeState,
  folder = -1,
  level = 1,
): Line[] {
  const lines: Line[] = [];
  let shown = 0;
  for (let page = 0; page < state.wanted(folder); page++) {
    const question: Question = { ask: "folder", source, row: folder, start: page * ROWS };
    const answer = ask(question);
    const key = `${folder}/${page}`;
    if (!answer) {
      lines.push({ kind: "note", key, level, text: "reading …", tone: "calm", question: null });
      return lines;
    }
    if (answer.failure) {
      const text = [answer.failure.message, answer.failure.hint].filter(Boolean).join("; ");
      lines.push({ kind: "note", key, level, text, tone: "bad", question });
      return lines;
    }
    for (const row of answer.rows) {
      const open = holds(row) ? state.open.has(row[0]) : null;
      lines.push({ kind: "file", key: String(row[0]), level, open, row, whole: false });
      if (open) lines.push(...treeLines(ask, source, state, row[0], level + 1));
    }
    shown += answer.rows.length;
    if (page === state.wanted(folder) - 1 && answer.total > shown)
      lines.push({ kind: "more", key: `${folder}+`, level, parent: folder, left: answer.total - shown });
    if (answer.total === 0 && folder === -1)
      lines.push({ kind: "note", key, level, text: "no files", tone: "calm", question: null });
  }
  return lines;
}

/** What a search found, as lines. */
export function foundLines(answer: Answer | null, question: Question): Line[] {
  if (!answer) return [{ kind: "note", key: "wait", level: 1, text: "searching …", tone: "calm", question: null }];
  if (answer.failure) {
    const text = [answer.failure.message, answer.failure.hint].filter(Boolean).join("; ");
    return [{ kind: "note", key: "failed", level: 1, text, tone: "bad", question }];
  }
  const lines: Line[] = answer.rows.map((row) => ({
    kind: "file",
    key: `found ${row[0]}`,
    level: 1,
    open: null,
    row,
    whole: true,
  }));
  const left = answer.total - answer.rows.length;
  const text = answer.total === 0 ? "nothing found" : left ? `… ${formatCount(left)} more: say more of the name` : "";
  if (text) lines.push({ kind: "note", key: "end", level: 1, text, tone: "calm", question: null });
  return lines;
}

export class FileTree {
  readonly element = h("div", { class: "labx-tree", role: "tree", "aria-label": "Files" });
  private lines: Line[] = [];
  private shown = "";
  private active = "";
  private placed = false;

  constructor(
    private readonly store: LayerStore,
    private readonly changed: () => void,
    signal: AbortSignal,
  ) {
    this.element.addEventListener("click", (event) => this.clicked(event), { signal });
    this.element.addEventListener("keydown", (event) => this.pressed(event), { signal });
    this.element.addEventListener("focusin", (event) => this.focused(event), { signal });
    this.element.addEventListener("scroll", () => this.scrolled(), { signal, passive: true });
    // only what has a place on the page can be scrolled
    onResize(this.element, () => this.place(), signal);
  }

  private state = new TreeState();

  show(lines: Line[], state: TreeState): void {
    this.state = state;
    const text = JSON.stringify(lines);
    if (text === this.shown) return;
    this.shown = text;
    this.lines = lines;
    const inside = this.element.contains(document.activeElement);
    const { scrollTop } = this.element;
    if (!lines.some((line) => line.key === this.active)) this.active = lines[0]?.key ?? "";
    this.element.replaceChildren(...lines.map((line) => this.item(line)));
    this.element.scrollTop = scrollTop;
    if (inside) this.focus(this.active);
  }

  private scrolled(): void {
    if (this.placed) this.store.choices.scrollTop = this.element.scrollTop;
  }

  /** A new view begins where the one before was. */
  private place(): void {
    if (this.placed || !this.element.clientHeight) return;
    this.element.scrollTop = this.store.choices.scrollTop;
    this.placed = true;
  }

  private item(line: Line): HTMLElement {
    const item = h("div", {
      class: `labx-item labx-${line.kind}`,
      role: "treeitem",
      "aria-level": line.level,
      "data-key": line.key,
      tabindex: line.key === this.active ? 0 : -1,
    });
    item.style.setProperty("--level", String(line.level - 1));
    if (line.kind === "file") this.fill(item, line);
    else if (line.kind === "more") {
      const next = Math.min(ROWS, line.left);
      item.append(h("span", { class: "labx-link" }, `show ${formatCount(next)} of ${formatCount(line.left)} more`));
    } else {
      item.dataset.tone = line.tone;
      item.append(
        h("span", { class: "labx-note-text" }, line.question ? `${line.text} (press to try again)` : line.text),
      );
    }
    return item;
  }

  private fill(item: HTMLElement, line: Line & { kind: "file" }): void {
    const [, name, kind, permissions, owner, size, change, link, below, differs] = line.row;
    item.dataset.change = change;
    if (line.open !== null) item.setAttribute("aria-expanded", String(line.open));
    const counts = below.some((count) => count > 0) && kind === "directory" ? below : null;
    const told = [change === "unchanged" ? "" : change, differs.join(", ")].filter(Boolean).join(": ");
    item.title = [link ? `${name} → ${link}` : name, kind, told].filter(Boolean).join("\n");
    item.setAttribute("aria-label", [name, kind, change, signed(size)].join(", "));
    const slash = kind === "directory" ? "/" : "";
    const cut = line.whole ? name.lastIndexOf("/") + 1 : 0;
    const arrow = kind === "hardlink" ? " ⇒ " : kind === "symlink" ? " → " : " ";
    item.append(
      h("span", { class: "labx-mark" }, MARKS[change] ?? ""),
      h(
        "span",
        { class: "labx-name" },
        h("span", { class: "labc-chevron", "aria-hidden": "true" }),
        cut ? h("span", { class: "labx-folder" }, name.slice(0, cut)) : null,
        h("span", { class: "labx-own" }, name.slice(cut) + slash),
        link ? h("span", { class: "labx-target" }, `${arrow}${link}`) : null,
        counts ? h("span", { class: "labx-counts" }, ...chips(counts)) : null,
      ),
      h("span", { class: "labx-permissions" }, permissions),
      h("span", { class: "labx-owner" }, owner),
      h("span", { class: "labx-size", "data-gone": size < 0 }, kind === "file" || size ? signed(size) : ""),
    );
  }

  // --- what is pressed

  private lineOf(target: EventTarget | null): Line | undefined {
    const key = target instanceof Element ? target.closest<HTMLElement>("[data-key]")?.dataset.key : undefined;
    return this.lines.find((line) => line.key === key);
  }

  private clicked(event: Event): void {
    const line = this.lineOf(event.target);
    if (!line) return;
    this.focus(line.key);
    this.act(line);
  }

  private act(line: Line): void {
    if (line.kind === "file") {
      if (line.open === null) return;
      if (line.open) this.state.open.delete(line.row[0]);
      else this.state.open.add(line.row[0]);
    } else if (line.kind === "more") this.state.more(line.parent);
    else if (line.question) this.store.forget(line.question);
    else return;
    this.changed();
  }

  private focused(event: Event): void {
    const line = this.lineOf(event.target);
    if (line) this.mark(line.key);
  }

  private mark(key: string): void {
    for (const item of this.items()) item.tabIndex = item.dataset.key === key ? 0 : -1;
    this.active = key;
  }

  private focus(key: string): void {
    this.mark(key);
    this.items()
      .find((item) => item.dataset.key === key)
      ?.focus();
  }

  private items(): HTMLElement[] {
    return [...this.element.children] as HTMLElement[];
  }

  private pressed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const place = this.lines.findIndex((line) => line.key === this.active);
    const line = this.lines[place];
    if (!line) return;
    const go = (index: number) =>
      this.focus(this.lines[Math.max(0, Math.min(this.lines.length - 1, index))]?.key ?? "");
    const isOpen = line.kind === "file" && line.open === true;
    const isClosed = line.kind === "file" && line.open === false;
    if (event.key === "ArrowDown") go(place + 1);
    else if (event.key === "ArrowUp") go(place - 1);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(this.lines.length - 1);
    else if (event.key === "Enter" || event.key === " ") this.act(line);
    else if (event.key === "ArrowRight") isClosed ? this.act(line) : isOpen && go(place + 1);
    else if (event.key === "ArrowLeft") isOpen ? this.act(line) : go(parentOf(this.lines, place));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** The line of the folder that a line is in; itself at the top. */
export function parentOf(lines: Line[], place: number): number {
  const level = lines[place]?.level ?? 1;
  for (let index = place - 1; index >= 0; index--) if ((lines[index]?.level ?? 0) < level) return index;
  return place;
}

/** A size with a minus where it is below zero. */
export function signed(size: number): string {
  return size < 0 ? `−${formatSize(-size)}` : formatSize(size);
}

/** Counts of what was added, changed and removed, those of nothing left out. */
export function chips(counts: readonly [number, number, number]): HTMLElement[] {
  const kinds: [string, string][] = [
    ["added", "+"],
    ["modified", "~"],
    ["removed", "−"],
  ];
  return kinds.flatMap(([kind, sign], index) => {
    const count = counts[index] ?? 0;
    return count
      ? [
          h(
            "span",
            { class: "labx-count", "data-change": kind, title: `${formatCount(count)} ${kind}` },
            `${sign}${formatCount(count)}`,
          ),
        ]
      : [];
  });
}
