// A log in a box: only the rows in sight are in the document, so that its length costs nothing. Follow, search, copy.

import { plain, type Style } from "./ansi.ts";
import { h, icon, onResize, perFrame, setAttribute, setText } from "./dom.ts";
import { formatClock, formatCount } from "./format.ts";
import { cut, type Line, type LogLines, type Match } from "./log_lines.ts";

const ROW_PX = 18;
const BEYOND = 6;

/** What the reader chose; it outlives a view that is drawn anew. */
export interface LogChoices {
  follow: boolean;
  times: boolean;
  query: string;
  current: Match | null;
  scrollTop: number;
}

export class LogView {
  readonly element: HTMLElement;
  private readonly scroll = h("div", {
    class: "labc-log",
    tabindex: 0,
    role: "log",
    "aria-label": "Log",
    "aria-live": "off",
  });
  private readonly space = h("div", { class: "labc-log-space" });
  private readonly empty = h("div", { class: "labc-log-empty" }, "Nothing has been written yet.");
  private readonly count = h("span", { class: "labc-found", role: "status", "aria-live": "polite" });
  private readonly total = h("span", { class: "labc-muted labc-log-total" });
  private readonly input = h("input", {
    class: "labc-search-input",
    type: "search",
    placeholder: "Search",
    "aria-label": "Search the log",
    spellcheck: "false",
    autocomplete: "off",
  });
  private readonly followButton = toggle("follow", "Follow", "Follow the end of the log");
  private readonly timesButton = toggle("clock", "Times", "Show the time of each line");
  private readonly rows = new Map<number, HTMLElement>();
  private first = 0;
  private placed = -1;
  private drawn = false;
  private shownKey = "";
  readonly refresh: () => void;

  constructor(
    private readonly lines: LogLines,
    private readonly choices: LogChoices,
    private readonly signal: AbortSignal,
  ) {
    this.refresh = perFrame(() => this.draw(), signal);
    this.first = lines.lines.first;
    this.scroll.append(this.space, this.empty);
    this.element = h("section", { class: "labc-logs", "aria-label": "Log" }, this.toolbar(), this.scroll);
    this.input.value = choices.query;
    this.listen();
    onResize(this.scroll, this.refresh, signal);
  }

  private toolbar(): HTMLElement {
    const button = (name: string, label: string, work: () => void) => {
      const element = h(
        "button",
        { type: "button", class: "labc-button labc-quiet", title: label, "aria-label": label },
        icon(name),
      );
      element.addEventListener("click", work, { signal: this.signal });
      return element;
    };
    const copy = button("copy", "Copy the lines that are held here", () => void this.copy(copy));
    return h(
      "div",
      { class: "labc-bar" },
      h("span", { class: "labc-title" }, "Log"),
      this.total,
      h("span", { class: "labc-spring" }),
      h(
        "span",
        { class: "labc-search" },
        icon("search"),
        this.input,
        this.count,
        button("up", "Previous match", () => this.jump(-1)),
        button("down", "Next match", () => this.jump(1)),
      ),
      this.timesButton,
      this.followButton,
      copy,
    );
  }

  private listen(): void {
    const { signal, choices } = this;
    this.scroll.addEventListener("scroll", () => this.scrolled(), { signal, passive: true });
    this.followButton.addEventListener("click", () => this.follow(!choices.follow), { signal });
    this.timesButton.addEventListener(
      "click",
      () => {
        choices.times = !choices.times;
        this.refresh();
      },
      { signal },
    );
    this.input.addEventListener("input", () => this.search(this.input.value), { signal });
    this.input.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Enter") this.jump(event.shiftKey ? -1 : 1);
        else if (event.key === "Escape" && this.input.value) this.search("");
        else return;
        event.preventDefault();
      },
      { signal },
    );
    this.element.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "f" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        this.input.select();
      },
      { signal },
    );
  }

  private async copy(button: HTMLElement): Promise<void> {
    await navigator.clipboard.writeText(this.lines.text);
    button.classList.add("labc-done");
    setTimeout(() => button.classList.remove("labc-done"), 900);
  }

  private follow(on: boolean): void {
    this.choices.follow = on;
    this.refresh();
  }

  private search(text: string): void {
    this.choices.query = text;
    if (this.input.value !== text) this.input.value = text;
    this.lines.search(text);
    this.choices.current = null;
    this.jump(-1);
    this.refresh();
  }

  /** Go to the next match below (1) or above (-1), around the ends; from nowhere, to the newest. */
  private jump(direction: number): void {
    const { matches } = this.lines;
    if (!matches.length) return;
    const at = this.choices.current ? position(matches, this.choices.current) : 0;
    const match = matches[(at + direction + matches.length) % matches.length] as Match;
    this.choices.current = { ...match };
    this.choices.follow = false;
    const y = (match.line - this.lines.lines.first) * ROW_PX;
    const { scrollTop, clientHeight } = this.scroll;
    if (y < scrollTop || y + ROW_PX > scrollTop + clientHeight) this.place(Math.max(0, y - clientHeight / 2));
    this.refresh();
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    if (Math.abs(scrollTop - this.placed) > 1) {
      const atEnd = scrollTop + clientHeight >= scrollHeight - ROW_PX / 2;
      if (atEnd !== this.choices.follow) this.choices.follow = atEnd;
      this.placed = -1;
    }
    this.choices.scrollTop = scrollTop;
    this.refresh();
  }

  private place(scrollTop: number): void {
    this.scroll.scrollTop = scrollTop;
    this.placed = this.scroll.scrollTop;
  }

  private draw(): void {
    const { lines, choices, scroll } = this;
    const { first, end, size } = lines.lines;
    const dropped = first - this.first;
    this.first = first;
    this.space.style.height = `${size * ROW_PX}px`;
    this.empty.hidden = size > 0;
    if (choices.follow) this.place(size * ROW_PX);
    else if (!this.drawn) this.place(choices.scrollTop);
    // lines went away above: what is being read stays where it is
    else if (dropped > 0) this.place(Math.max(0, scroll.scrollTop - dropped * ROW_PX));
    this.drawn = true;
    const { scrollTop, clientHeight } = scroll;
    const from = first + Math.max(0, Math.floor(scrollTop / ROW_PX) - BEYOND);
    const to = Math.min(end, first + Math.ceil((scrollTop + clientHeight) / ROW_PX) + BEYOND);
    const key = JSON.stringify([choices.query, choices.current, choices.times]);
    if (key !== this.shownKey) this.forgetRows(() => true);
    this.shownKey = key;
    this.forgetRows((at) => at < from || at >= to);
    // from below, so that each new row finds the one after it and the document keeps the log's order
    for (let at = to - 1; at >= from; at--) this.row(at, (at - first) * ROW_PX);
    this.words();
  }

  private forgetRows(which: (position: number) => boolean): void {
    for (const [position, row] of this.rows) {
      if (!which(position)) continue;
      row.remove();
      this.rows.delete(position);
    }
  }

  private row(at: number, top: number): void {
    let row = this.rows.get(at);
    if (!row) {
      row = this.makeRow(at, this.lines.lines.at(at) as Line);
      this.rows.set(at, row);
      this.space.insertBefore(row, this.rows.get(at + 1) ?? null);
    }
    row.style.transform = `translateY(${top}px)`;
  }

  private makeRow(at: number, line: Line): HTMLElement {
    const kind = line.stream === 2 ? "labc-stderr" : line.stream === 0 ? "labc-note" : "";
    const row = h("div", { class: `labc-row ${kind}`, "data-line": at, title: line.stream === 2 ? "stderr" : null });
    if (this.choices.times) row.append(h("span", { class: "labc-time" }, line.stream ? formatClock(line.time) : ""));
    const { starts, length } = this.lines.occurrences(line);
    const { current } = this.choices;
    let offset = 0;
    for (const { text, style, marked } of cut(line.spans, starts, length)) {
      const now = marked && current?.line === at && offset >= current.from && offset < current.from + length;
      row.append(span(text, style, marked ? (now ? "labc-hit labc-hit-now" : "labc-hit") : ""));
      offset += text.length;
    }
    return row;
  }

  private words(): void {
    const { lines, choices } = this;
    setAttribute(this.followButton, "aria-pressed", String(choices.follow));
    setAttribute(this.timesButton, "aria-pressed", String(choices.times));
    const { matches } = lines;
    const at = choices.current ? position(matches, choices.current) + 1 : 0;
    setText(
      this.count,
      !choices.query ? "" : matches.length ? `${formatCount(at)} of ${formatCount(matches.length)}` : "no match",
    );
    this.element.classList.toggle("labc-searching", choices.query !== "");
    const held = lines.lines.size;
    setText(this.total, held ? `${formatCount(held)} ${held === 1 ? "line" : "lines"}` : "");
    setAttribute(
      this.total,
      "title",
      lines.skipped
        ? `${formatCount(lines.skipped)} lines came too fast or earlier and are not held here; container.logs() has them all`
        : null,
    );
  }
}

function toggle(name: string, text: string, title: string): HTMLButtonElement {
  return h(
    "button",
    { type: "button", class: "labc-button labc-quiet", title, "aria-pressed": "false" },
    icon(name),
    text,
  );
}

/** The place of `match` among matches in order, or of the first after it. */
function position(matches: readonly Match[], match: Match): number {
  let [low, high] = [0, matches.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = matches[middle] as Match;
    if (other.line < match.line || (other.line === match.line && other.from < match.from)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Text in a terminal's style. */
export function span(text: string, style: Style, kind = ""): Node {
  if (style === plain && !kind) return document.createTextNode(text);
  const element = h(kind ? "mark" : "span", { class: kind || null }, text);
  const [fg, bg] = style.inverse ? [style.bg || "inverse-fg", style.fg || "inverse-bg"] : [style.fg, style.bg];
  if (fg) element.style.color = colour(fg);
  if (bg && !kind) element.style.backgroundColor = colour(bg);
  if (style.bold) element.style.fontWeight = "600";
  if (style.dim) element.style.opacity = "0.65";
  if (style.italic) element.style.fontStyle = "italic";
  const lines = [style.underline && "underline", style.strike && "line-through"].filter(Boolean).join(" ");
  if (lines) element.style.textDecorationLine = lines;
  return element;
}

function colour(name: string): string {
  return name.startsWith("#") ? name : `var(--labc-ansi-${name})`;
}
