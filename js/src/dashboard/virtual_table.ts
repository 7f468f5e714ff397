// A table of which only the rows in sight and near it are in the document, so that its length costs nothing: sorted by its heads, walked by arrow keys.

import { h, onResize, perFrame, setAttribute, setText } from "../widgets/dom.ts";

// rows beyond those in sight that are in the document, so that scrolling a little makes none, and that are kept up to date
const BEYOND = 40;
const NEAR = 3;
// of those that are not in sight, so many are made at once, while nobody scrolls
const AT_ONCE = 12;
// so many rows wait for others while it is scrolled
const SPARE = 60;

export interface Column<T> {
  id: string;
  title: string;
  /** A track of a grid, such as "minmax(120px, 2fr)". */
  width: string;
  /** How wide the table must be for this column to be shown, in pixels. */
  from?: number;
  kind?: "number" | "actions";
  sort?: (row: T) => string | number;
  /** Called once for a cell. */
  make?: (cell: HTMLElement, row: T) => void;
  /** Called whenever something may have changed. */
  show: (cell: HTMLElement, row: T) => void;
}

export interface TableOptions<T> {
  label: string;
  columns: Column<T>[];
  rowPx: number;
  key: (row: T) => string;
  sort: { column: string; down: boolean };
  /** Where the reader was in a view before, and where to keep that. */
  scrolls: Map<string, number>;
  /** Called when a row is clicked or Enter is pressed on it. */
  choose?: (row: T) => void;
  chosen?: (row: T) => boolean;
  dim?: (row: T) => boolean;
}

interface Shown {
  element: HTMLElement;
  cells: HTMLElement[];
  /** When its cells were shown last. */
  generation: number;
}

export class VirtualTable<T> {
  readonly element: HTMLElement;
  private readonly head = h("div", { class: "labd-table-head", role: "row", "aria-rowindex": 1 });
  private readonly scroll = h("div", { class: "labd-table-scroll", role: "rowgroup" });
  private readonly space = h("div", { class: "labd-table-space", role: "presentation" });
  private readonly empty = h("div", { class: "labd-empty", hidden: true });
  private readonly shown = new Map<string, Shown>();
  /** Rows that are out of sight and in the document, to be used for others: to make one costs more than to fill it. */
  private readonly spare: Shown[] = [];
  private columns: Column<T>[] = [];
  private given: readonly T[] = [];
  private rows: T[] = [];
  private active = "";
  private placed = false;
  /** Counts whenever rows may say something else than before; while it is only scrolled they do not. */
  private generation = 0;
  private drawn = -1;
  private scrolledTo = 0;
  private readonly redraw: () => void;

  constructor(
    private readonly options: TableOptions<T>,
    private readonly signal: AbortSignal,
  ) {
    this.redraw = perFrame(() => this.draw(), signal);
    this.scroll.append(this.space, this.empty);
    this.element = h(
      "div",
      { class: "labd-table", role: "grid", "aria-label": options.label, "aria-readonly": "true" },
      h("div", { role: "rowgroup" }, this.head),
      this.scroll,
    );
    this.scroll.addEventListener("scroll", () => this.scrolled(), { signal, passive: true });
    this.space.addEventListener("click", (event) => this.clicked(event), { signal });
    this.space.addEventListener("keydown", (event) => this.pressed(event), { signal });
    this.space.addEventListener("focusin", (event) => this.focused(event), { signal });
    onResize(this.scroll, () => this.measure(), signal);
    this.arrange(options.columns.filter((column) => !column.from));
  }

  /** `why` is told where there are no rows: a text, or elements. */
  show(rows: readonly T[], why: string | Node[]): void {
    this.given = rows;
    this.sort();
    this.empty.hidden = rows.length > 0;
    if (!rows.length) {
      const kind = typeof why === "string" ? "text" : "parts";
      if (typeof why === "string") setText(this.empty, why);
      else if (this.empty.dataset.why !== kind) this.empty.replaceChildren(...why);
      this.empty.dataset.why = kind;
    }
    this.generation += 1;
    this.redraw();
  }

  private sort(): void {
    const { column, down } = this.options.sort;
    const by = this.options.columns.find(({ id }) => id === column)?.sort;
    this.rows = [...this.given];
    if (by) this.rows.sort((a, b) => compare(by(a), by(b)) * (down ? -1 : 1));
  }

  // --- the columns

  private measure(): void {
    const { clientWidth } = this.scroll;
    if (clientWidth) {
      const fitting = this.options.columns.filter((column) => (column.from ?? 0) <= clientWidth);
      if (fitting.length !== this.columns.length) this.arrange(fitting);
      if (!this.placed) this.scroll.scrollTop = this.options.scrolls.get(this.options.label) ?? 0;
      this.placed = true;
    }
    this.redraw();
  }

  private arrange(columns: Column<T>[]): void {
    this.columns = columns;
    this.generation += 1;
    this.element.style.setProperty("--columns", columns.map(({ width }) => width).join(" "));
    for (const { element } of [...this.shown.values(), ...this.spare]) element.remove();
    this.shown.clear();
    this.spare.length = 0;
    setAttribute(this.element, "aria-colcount", columns.length);
    this.head.replaceChildren(...columns.map((column) => this.heading(column)));
    this.showSort();
  }

  private heading(column: Column<T>): HTMLElement {
    const cell = h("div", {
      role: "columnheader",
      class: "labd-th",
      "data-column": column.id,
      "data-kind": column.kind,
    });
    if (!column.sort) {
      cell.append(h("span", { class: column.kind === "actions" ? "labd-hidden" : null }, column.title));
      return cell;
    }
    const button = h(
      "button",
      { type: "button", class: "labd-sort" },
      column.title,
      h("span", { class: "labd-arrow", "aria-hidden": "true" }),
    );
    button.addEventListener("click", () => this.sortBy(column), { signal: this.signal });
    cell.append(button);
    return cell;
  }

  private sortBy({ id, kind }: Column<T>): void {
    const { sort } = this.options;
    // the largest numbers first, names from A on
    sort.down = sort.column === id ? !sort.down : kind === "number";
    sort.column = id;
    this.showSort();
    this.sort();
    this.generation += 1;
    this.redraw();
  }

  private showSort(): void {
    const { column, down } = this.options.sort;
    for (const cell of this.head.children) {
      const own = (cell as HTMLElement).dataset.column === column;
      setAttribute(cell, "aria-sort", own ? (down ? "descending" : "ascending") : null);
    }
  }

  // --- the rows

  private scrolled(): void {
    if (this.placed) this.options.scrolls.set(this.options.label, this.scroll.scrollTop);
    this.redraw();
  }

  private draw(): void {
    const { rows, options, scroll } = this;
    const { rowPx } = options;
    this.space.style.height = `${rows.length * rowPx}px`;
    setAttribute(this.element, "aria-rowcount", rows.length + 1);
    const { scrollTop, clientHeight } = scroll;
    const first = Math.floor(scrollTop / rowPx);
    const last = Math.ceil((scrollTop + clientHeight) / rowPx);
    const from = Math.max(0, first - BEYOND);
    const to = Math.min(rows.length, last + BEYOND);
    if (!rows.some((row) => options.key(row) === this.active)) this.active = rows[0] ? options.key(rows[0]) : "";
    const wanted = new Map<string, number>();
    for (let at = from; at < to; at++) wanted.set(options.key(rows[at] as T), at);
    for (const [key, shown] of this.shown) {
      if (wanted.has(key)) continue;
      const { element } = shown;
      if (element.contains(document.activeElement)) {
        // who is there with the keyboard stays there, also out of sight
        const at = rows.findIndex((row) => options.key(row) === key);
        if (at >= 0) {
          wanted.set(key, at);
          continue;
        }
      }
      this.shown.delete(key);
      this.spare.push(shown);
    }
    const moved = this.drawn !== this.generation;
    this.drawn = this.generation;
    const stands = scrollTop === this.scrolledTo;
    this.scrolledTo = scrollTop;
    let left = stands ? AT_ONCE : 0;
    for (const [key, at] of wanted) {
      const shown = this.shown.get(key);
      const near = at >= first - NEAR && at < last + NEAR;
      if (near ? shown?.generation !== this.generation : !shown && left-- > 0) this.place(key, rows[at] as T, at);
      else if (moved && shown) this.move(shown.element, at);
    }
    for (const { element } of this.spare.splice(stands ? 0 : SPARE)) element.remove();
    for (const { element } of this.spare) element.style.visibility = "hidden";
    if (left < 0) this.redraw();
  }

  private place(key: string, row: T, at: number): void {
    let shown = this.shown.get(key);
    if (!shown) {
      shown = this.spare.pop() ?? this.make(row);
      shown.element.dataset.key = key;
      shown.element.style.visibility = "";
      this.shown.set(key, shown);
      if (!shown.element.isConnected) this.space.append(shown.element);
    }
    shown.generation = this.generation;
    const { element, cells } = shown;
    const { options } = this;
    this.move(element, at);
    if (options.choose) setAttribute(element, "aria-selected", String(options.chosen?.(row) ?? false));
    element.classList.toggle("labd-odd", at % 2 === 1);
    element.classList.toggle("labd-dim", options.dim?.(row) ?? false);
    this.mark(element, key);
    this.columns.forEach((column, index) => {
      column.show(cells[index] as HTMLElement, row);
    });
  }

  private move(element: HTMLElement, at: number): void {
    element.style.transform = `translateY(${at * this.options.rowPx}px)`;
    setAttribute(element, "aria-rowindex", at + 2);
  }

  private make(row: T): Shown {
    const cells = this.columns.map((column) => {
      const cell = h("div", { role: "gridcell", class: "labd-td", "data-column": column.id, "data-kind": column.kind });
      column.make?.(cell, row);
      return cell;
    });
    const element = h("div", { role: "row", class: "labd-tr" }, ...cells);
    element.classList.toggle("labd-can", Boolean(this.options.choose));
    element.style.height = `${this.options.rowPx}px`;
    return { element, cells, generation: -1 };
  }

  private mark(element: HTMLElement, key: string): void {
    const tabindex = key === this.active ? 0 : -1;
    if (element.tabIndex === tabindex) return;
    element.tabIndex = tabindex;
    for (const button of element.querySelectorAll("button")) button.tabIndex = tabindex;
  }

  // --- what is pressed

  private rowOf(target: EventTarget | null): T | undefined {
    const key = (target as Element).closest<HTMLElement>("[data-key]")?.dataset.key;
    return this.rows.find((row) => this.options.key(row) === key);
  }

  private clicked(event: Event): void {
    const row = this.rowOf(event.target);
    if (row && !(event.target as Element).closest("button, a")) this.options.choose?.(row);
  }

  private focused(event: Event): void {
    const row = this.rowOf(event.target);
    if (!row) return;
    this.active = this.options.key(row);
    for (const [key, { element }] of this.shown) this.mark(element, key);
  }

  private pressed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = this.rows.findIndex((row) => this.options.key(row) === this.active);
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / this.options.rowPx) - 1);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: this.rows.length - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) this.go(to);
    else if (event.key === "Enter" && (event.target as Element).matches("[data-key]")) {
      const row = this.rows[at];
      if (row) this.options.choose?.(row);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private go(to: number): void {
    const at = Math.max(0, Math.min(this.rows.length - 1, to));
    const row = this.rows[at];
    if (!row) return;
    const { rowPx } = this.options;
    const { scrollTop, clientHeight } = this.scroll;
    this.active = this.options.key(row);
    this.generation += 1;
    if (at * rowPx < scrollTop) this.scroll.scrollTop = at * rowPx;
    else if ((at + 1) * rowPx > scrollTop + clientHeight) this.scroll.scrollTop = (at + 1) * rowPx - clientHeight;
    this.draw();
    this.shown.get(this.active)?.element.focus({ preventScroll: true });
  }
}

function compare(a: string | number, b: string | number): number {
  return typeof a === "number" && typeof b === "number"
    ? a - b
    : String(a).localeCompare(String(b), undefined, { numeric: true });
}
