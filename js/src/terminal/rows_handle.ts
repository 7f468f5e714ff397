// The line below a terminal by which its height is changed: dragged, or with the arrow keys.

import { h, setAttribute } from "../widgets/dom.ts";

const FEWEST = 4;
const MOST = 100;

export class RowsHandle {
  readonly element = h("div", {
    class: "labc-rows-handle",
    role: "separator",
    tabindex: 0,
    "aria-orientation": "horizontal",
    "aria-label": "Lines of the terminal",
    "aria-valuemin": FEWEST,
    "aria-valuemax": MOST,
    title: "Drag, or press the arrow keys, for more or fewer lines",
  });

  constructor(
    private readonly rows: () => number,
    private readonly rowHeight: () => number,
    private readonly choose: (rows: number) => void,
    signal: AbortSignal,
  ) {
    this.element.addEventListener("pointerdown", (event) => this.drag(event), { signal });
    this.element.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  /** Say how many lines there are now. */
  show(): void {
    setAttribute(this.element, "aria-valuenow", this.rows());
  }

  private drag(begin: PointerEvent): void {
    const { element } = this;
    const rows = this.rows();
    const height = this.rowHeight();
    element.setPointerCapture(begin.pointerId);
    begin.preventDefault();
    const moved = new AbortController();
    const { signal } = moved;
    element.addEventListener("pointermove", ({ clientY }) => this.set(rows + (clientY - begin.clientY) / height), {
      signal,
    });
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => moved.abort(), { signal });
  }

  private key(event: KeyboardEvent): void {
    const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(this.rows() + by);
  }

  private set(wanted: number): void {
    const rows = Math.min(MOST, Math.max(FEWEST, Math.round(wanted)));
    setAttribute(this.element, "aria-valuenow", rows);
    if (rows !== this.rows()) this.choose(rows);
  }
}
