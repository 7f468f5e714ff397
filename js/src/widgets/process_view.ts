// The live tree of a container's processes: a table that is a tree, with the threads of each process on demand.

import { h, icon, setAttribute, setText } from "./dom.ts";
import { formatBytes } from "./format.ts";
import type { Process } from "./live_messages.ts";
import { LiveFrame, type LiveStore } from "./live_store.ts";
import { type Line, linesOf } from "./process_rows.ts";

const COLUMNS = [
  ["command", "Command", ""],
  ["pid", "PID", "The process id on this machine, and inside the container"],
  ["user", "User", "The user inside the container, and on this machine where that is another"],
  ["state", "State", ""],
  ["cpu", "CPU", "Of one CPU, over the last second"],
  ["memory", "RSS", "Memory that is resident; what processes share counts for each"],
  ["threads", "Threads", "A click shows them"],
  ["namespaces", "Other namespaces", "Namespaces that are not those of the container's first process"],
  ["ports", "Ports", "Where it listens"],
] as const;

const TONES: Record<string, string> = { running: "good", zombie: "bad", stopped: "warn", traced: "warn" };

interface Row {
  element: HTMLTableRowElement;
  cells: HTMLTableCellElement[];
  shown: string;
}

export class ProcessesView {
  private readonly search = h("input", {
    class: "labc-search-input",
    type: "search",
    placeholder: "command or port",
    "aria-label": "Search processes",
  });
  private readonly body = h("tbody");
  private readonly table = h("table", { class: "labc-table labv-tree", role: "treegrid", "aria-label": "Processes" });
  private readonly room = h("div", { class: "labv-room" }, this.table);
  private readonly nothing = h("div", { class: "labv-nothing", hidden: true });
  private readonly frame: LiveFrame;
  private readonly rows = new Map<string, Row>();
  private readonly folded = new Set<number>();
  private readonly threads = new Set<number>();
  private lines: Line[] = [];
  /** The line that the keyboard is at. */
  private at = "";

  constructor(
    private readonly store: LiveStore,
    el: HTMLElement,
    signal: AbortSignal,
  ) {
    const box = h("label", { class: "labc-search" }, icon("search"), this.search);
    this.frame = new LiveFrame(store, "labv-processes", "Processes", box);
    const heads = COLUMNS.map(([name, title, more]) =>
      h("th", { scope: "col", class: `labv-${name}`, title: more || null }, title),
    );
    this.table.append(h("thead", {}, h("tr", {}, ...heads)), this.body);
    this.frame.root.append(this.room, this.nothing);
    this.search.addEventListener("input", () => this.show(), { signal });
    this.body.addEventListener("click", (event) => this.clicked(event), { signal });
    this.body.addEventListener("keydown", (event) => this.pressed(event), { signal });
    this.body.addEventListener("focusin", ({ target }) => this.moved(target), { signal });
    this.frame.mount(el, () => this.show(), signal);
  }

  // --- what is pressed

  private clicked({ target }: MouseEvent): void {
    if (!(target instanceof Element)) return;
    const key = target.closest("tr")?.dataset.key;
    const line = this.lines.find((one) => one.key === key);
    if (!line) return;
    if (target.closest("[data-action=threads]")) toggle(this.threads, line.process.pid);
    else if (target.closest("[data-action=fold]")) toggle(this.folded, line.process.pid);
    else return;
    this.show();
  }

  private moved(target: EventTarget | null): void {
    const key = target instanceof Element ? target.closest("tr")?.dataset.key : undefined;
    if (key && key !== this.at) {
      this.at = key;
      this.mark();
    }
  }

  private pressed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.target instanceof HTMLTableRowElement)) return;
    const index = this.lines.findIndex(({ key }) => key === this.at);
    const line = this.lines[index];
    if (!line) return;
    const to: Record<string, number> = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      Home: 0,
      End: this.lines.length - 1,
    };
    const next = to[event.key];
    if (next !== undefined) this.focus(Math.max(0, Math.min(this.lines.length - 1, next)));
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft")
      this.open(line, event.key === "ArrowRight", index);
    else if (event.key === "Enter" || event.key === " ") this.enter(line);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** → opens children, then threads; ← closes them in turn, or goes to the parent. */
  private open({ process, thread, parent, depth }: Line, wide: boolean, index: number): void {
    const { pid } = process;
    const several = !thread && process.threads.length > 1;
    if (wide) {
      if (parent && this.folded.has(pid)) this.folded.delete(pid);
      else if (several) this.threads.add(pid);
    } else if (!thread && this.threads.has(pid)) this.threads.delete(pid);
    else if (!thread && parent && !this.folded.has(pid)) this.folded.add(pid);
    else {
      let above = index - 1;
      while (above >= 0 && (this.lines[above]?.depth ?? 0) >= depth) above--;
      if (above >= 0) this.focus(above);
    }
    this.show();
  }

  private enter({ process, thread, parent }: Line): void {
    if (thread) return;
    if (process.threads.length > 1) toggle(this.threads, process.pid);
    else if (parent) toggle(this.folded, process.pid);
    this.show();
  }

  private focus(index: number): void {
    const line = this.lines[index];
    if (!line) return;
    this.at = line.key;
    this.mark();
    this.rows.get(line.key)?.element.focus();
  }

  /** One line alone is in the order of Tab. */
  private mark(): void {
    for (const [key, { element }] of this.rows) setAttribute(element, "tabindex", key === this.at ? 0 : -1);
  }

  // --- what is shown

  private show(): void {
    const { store } = this;
    const order = store.part<number[]>("order") ?? [];
    const processes = order.flatMap((pid) => store.part<Process>(`process ${pid}`) ?? []);
    this.lines = linesOf(processes, { folded: this.folded, threads: this.threads, text: this.search.value });
    const threads = processes.reduce((sum, { thread_count }) => sum + thread_count, 0);
    const told = `${processes.length} ${processes.length === 1 ? "process" : "processes"}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
    this.frame.show(told, store.part<string[]>("notes") ?? []);
    const spaces = processes.some(({ namespaces }) => namespaces === null || namespaces.length > 0);
    const ports = processes.some(({ ports: own }) => own === null || own.length > 0);
    setAttribute(this.table, "data-spaces", spaces);
    setAttribute(this.table, "data-ports", ports);
    this.place();
    this.nothing.hidden = this.lines.length > 0;
    setText(this.nothing, processes.length ? "nothing found" : "no process is to be seen");
  }

  private place(): void {
    const keys = new Set(this.lines.map(({ key }) => key));
    for (const [key, { element }] of this.rows) {
      if (keys.has(key)) continue;
      element.remove();
      this.rows.delete(key);
    }
    let before: Element | null = this.body.firstElementChild;
    for (const line of this.lines) {
      const row = this.rows.get(line.key) ?? this.add(line.key);
      if (row.element === before) before = before.nextElementSibling;
      else this.body.insertBefore(row.element, before);
      this.fill(row, line);
    }
    if (!keys.has(this.at)) this.at = this.lines[0]?.key ?? "";
    this.mark();
  }

  private add(key: string): Row {
    const cells = COLUMNS.map(([name]) => h("td", { class: `labv-${name}`, role: "gridcell" }));
    const element = h("tr", { role: "row", "data-key": key, tabindex: -1 }, ...cells);
    const row = { element, cells, shown: "" };
    this.rows.set(key, row);
    return row;
  }

  private fill(row: Row, line: Line): void {
    const { process, thread, depth, parent } = line;
    const folded = this.folded.has(process.pid);
    const open = this.threads.has(process.pid);
    const key = JSON.stringify([thread ?? process, depth, parent, folded, open]);
    if (key === row.shown) return;
    row.shown = key;
    setAttribute(row.element, "aria-level", depth + 1);
    setAttribute(row.element, "data-thread", thread !== null);
    const widens = !thread && (parent || process.threads.length > 1);
    setAttribute(row.element, "aria-expanded", widens ? String(parent ? !folded : open) : null);
    const contents = thread ? ofThread(thread) : ofProcess(process, open);
    contents.forEach((content, index) => {
      row.cells[index]?.replaceChildren(...content);
    });
    const name = h("div", { class: "labv-name" }, parent ? foldButton(folded) : h("span", { class: "labv-leaf" }));
    name.style.setProperty("--labv-depth", String(depth));
    name.append(...(row.cells[0]?.childNodes ?? []));
    row.cells[0]?.append(name);
  }
}

function toggle(set: Set<number>, member: number): void {
  if (!set.delete(member)) set.add(member);
}

function foldButton(folded: boolean): HTMLElement {
  const label = folded ? "Show what it has started" : "Hide what it has started";
  return h(
    "button",
    {
      type: "button",
      class: "labv-fold",
      "data-action": "fold",
      "aria-label": label,
      "aria-expanded": String(!folded),
      tabindex: -1,
    },
    h("span", { class: "labc-chevron", "aria-hidden": "true" }),
  );
}

type Content = (Node | string)[];

function ofProcess(process: Process, open: boolean): Content[] {
  const { command, pid, inside, user, user_outside, state, cpu, memory, thread_count, threads, namespaces, ports } =
    process;
  const both = user && user !== user_outside;
  return [
    [h("code", { class: "labv-words", title: command }, command)],
    [String(pid), h("span", { class: "labc-muted" }, inside === null ? " ?" : inside === pid ? "" : ` → ${inside}`)],
    [user || user_outside, ...(both ? [h("span", { class: "labc-muted" }, ` ${user_outside}`)] : [])],
    [stateMark(state)],
    [share(cpu)],
    [formatBytes(memory)],
    [
      threads.length > 1
        ? h(
            "button",
            {
              type: "button",
              class: "labv-count",
              "data-action": "threads",
              "aria-expanded": String(open),
              tabindex: -1,
            },
            `${thread_count} threads`,
          )
        : String(thread_count),
    ],
    chips(namespaces),
    chips(ports),
  ];
}

function ofThread([tid, name, state, cpu]: NonNullable<Line["thread"]>): Content[] {
  return [
    [h("code", { class: "labv-words" }, name), h("span", { class: "labc-muted" }, " thread")],
    [String(tid)],
    [],
    [stateMark(state)],
    [share(cpu)],
    [],
    [],
    [],
    [],
  ];
}

function stateMark(state: string): HTMLElement {
  return h("span", { class: "labv-state", "data-tone": TONES[state] ?? "calm" }, state);
}

function share(percent: number): HTMLElement {
  const filled = h("span", { class: "labv-share-filled" });
  filled.style.width = `${Math.min(100, percent)}%`;
  const bar = h("span", { class: "labv-share", "aria-hidden": "true" }, filled);
  return h("span", { class: "labv-cpu-value" }, bar, `${percent.toFixed(1)} %`);
}

function chips(values: readonly string[] | null): Content {
  if (values === null) return [h("span", { class: "labc-muted", title: "this user may not look" }, "?")];
  return values.map((value) => h("span", { class: "labv-chip" }, value));
}
