// The tab of all logs, merged by time: searched by text or expression, by container and by time range, and followed.

import { h, icon, setAttribute, setText } from "../widgets/dom.ts";
import { formatClock, formatCount } from "../widgets/format.ts";
import { LogList } from "./log_list.ts";
import type { Answer, FoundLines, Order, Row } from "./messages.ts";
import { choice, field } from "./parts.ts";
import type { DashStore } from "./store.ts";

const SEARCH_AFTER_MS = 300;
const FOLLOW_EVERY_MS = 1000;
const LIMIT = 2000;
const SPANS: [string, string][] = [
  ["", "All time"],
  ["300", "Last 5 minutes"],
  ["900", "Last 15 minutes"],
  ["3600", "Last hour"],
  ["86400", "Last day"],
  ["custom", "From … to …"],
];

export class LogsTab {
  readonly element: HTMLElement;
  private readonly list: LogList;
  private readonly count = h("span", { class: "labc-muted labd-count", role: "status" });
  private readonly problem = h("div", { class: "labd-problem", role: "alert", hidden: true });
  private readonly toggles: { regex: HTMLButtonElement; matchCase: HTMLButtonElement; follow: HTMLButtonElement };
  private readonly pick = h("details", { class: "labd-pick" });
  private readonly picked = h("summary", { class: "labd-select" });
  private readonly names = h("div", { class: "labd-names", role: "group", "aria-label": "Containers" });
  private readonly custom = h("span", { class: "labd-custom", hidden: true });
  private search = 0;
  private last = "";
  private waiting = false;
  private typing: ReturnType<typeof setTimeout> | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private listed = "";

  constructor(
    private readonly store: DashStore,
    private readonly signal: AbortSignal,
  ) {
    const { logs } = store.choices;
    this.list = new LogList((follow) => this.turn(follow), signal);
    const [box, input] = field("Search all logs", "Search all logs", (text) => this.typed(text), signal);
    input.value = logs.pattern;
    input.addEventListener("keydown", (event) => event.key === "Enter" && this.begin(), { signal });
    this.toggles = {
      regex: this.toggle(".*", "Regular expression", "regex"),
      matchCase: this.toggle("Aa", "Match upper and lower case", "matchCase"),
      follow: this.toggle(icon("follow"), "Follow what comes", "follow"),
    };
    box.append(this.toggles.matchCase, this.toggles.regex);
    const spans = choice("Time", SPANS, (span) => this.choose({ span }), signal);
    spans.value = logs.span;
    this.custom.append(this.moment("from", "From"), h("span", { class: "labc-muted" }, "–"), this.moment("to", "To"));
    this.pick.append(this.picked, this.names);
    this.pick.addEventListener("keydown", (event) => event.key === "Escape" && this.shut(), { signal });
    document.addEventListener(
      "pointerdown",
      (event) => !this.pick.contains(event.target as Node) && this.pick.removeAttribute("open"),
      { signal },
    );
    const bar = h(
      "div",
      { class: "labc-bar labd-bar" },
      box,
      this.pick,
      spans,
      this.custom,
      this.count,
      h("span", { class: "labc-spring" }),
      this.toggles.follow,
    );
    this.element = h("div", { class: "labd-tab" }, bar, this.problem, this.list.element);
    signal.addEventListener("abort", () => {
      clearTimeout(this.typing);
      this.rest();
    });
  }

  private toggle(text: string | Node, title: string, name: "regex" | "matchCase" | "follow"): HTMLButtonElement {
    const button = h(
      "button",
      { type: "button", class: "labc-button labc-quiet labd-icon", title, "aria-label": title },
      text,
    );
    button.addEventListener(
      "click",
      () => {
        const on = !this.store.choices.logs[name];
        if (name === "follow") this.turn(on);
        else this.choose({ [name]: on });
      },
      { signal: this.signal },
    );
    return button;
  }

  private moment(name: "from" | "to", label: string): HTMLInputElement {
    const input = h("input", { type: "datetime-local", step: 1, class: "labd-select", "aria-label": label });
    input.value = this.store.choices.logs[name];
    input.addEventListener("change", () => this.choose({ [name]: input.value }), { signal: this.signal });
    return input;
  }

  private shut(): void {
    this.pick.removeAttribute("open");
    this.picked.focus();
  }

  private typed(pattern: string): void {
    this.store.choices.logs.pattern = pattern;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.begin(), SEARCH_AFTER_MS);
  }

  private choose(wish: Partial<DashStore["choices"]["logs"]>): void {
    Object.assign(this.store.choices.logs, wish);
    this.begin();
  }

  /** Show the logs of one container. */
  only(row: Row): void {
    this.choose({ containers: new Set([row.id]) });
  }

  private turn(follow: boolean): void {
    this.store.choices.logs.follow = follow;
    this.list.follow(follow);
    this.words();
    this.later();
  }

  // --- searching

  /** Search anew. */
  begin(): void {
    clearTimeout(this.typing);
    this.rest();
    this.search += 1;
    this.last = "";
    this.ask();
  }

  private ask(): void {
    const { logs } = this.store.choices;
    const now = this.store.channel.now();
    const { search } = this;
    const custom = logs.span === "custom";
    const time = (text: string) => (custom && text ? new Date(text).getTime() / 1000 : null);
    const wish = {
      pattern: logs.pattern,
      regex: logs.regex,
      match_case: logs.matchCase,
      since: logs.span && !custom ? now - Number(logs.span) : time(logs.from),
      until: time(logs.to),
      limit: LIMIT,
      after: this.last,
    };
    const order: Order = { ask: "logs", containers: logs.containers && [...logs.containers], wish };
    this.waiting = true;
    this.store.ask(order, (answer) => search === this.search && !this.signal.aborted && this.take(answer));
    this.words();
  }

  private take({ data, failure }: Answer): void {
    this.waiting = false;
    this.problem.hidden = !failure;
    if (failure) {
      setText(this.problem, [failure.message, failure.hint].filter(Boolean).join("; "));
      if (!this.last) this.list.clear();
    } else {
      const { lines, since, last } = data as FoundLines;
      if (!this.last) {
        this.list.clear();
        setAttribute(
          this.count,
          "title",
          since ? `All lines since ${formatClock(since)} were looked at; there are older ones` : null,
        );
      }
      this.last = last;
      this.list.append(lines, (id) => {
        const row = this.store.find(id);
        return { name: row?.name ?? id.slice(0, 12), colour: row?.key ?? 0 };
      });
    }
    this.list.follow(this.store.choices.logs.follow);
    this.words();
    if (!failure) this.later();
  }

  /** Ask for what is new in a while, if that is followed. */
  private later(): void {
    const { logs, tab } = this.store.choices;
    const wanted = logs.follow && tab === "logs" && !(logs.span === "custom" && logs.to);
    if (!wanted) this.rest();
    else if (this.last && !this.waiting && this.timer === undefined)
      this.timer = setTimeout(() => this.goOn(), FOLLOW_EVERY_MS);
  }

  private goOn(): void {
    this.timer = undefined;
    if (document.hidden) this.later();
    else this.ask();
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  // --- what is shown

  /** `chosen`: whether the tab is the one that is seen. */
  show(chosen: boolean): void {
    this.showNames();
    this.words();
    if (chosen && !this.search) this.begin();
    else if (chosen) this.later();
    if (chosen) this.list.refresh();
  }

  private words(): void {
    const { logs } = this.store.choices;
    setAttribute(this.toggles.regex, "aria-pressed", String(logs.regex));
    setAttribute(this.toggles.matchCase, "aria-pressed", String(logs.matchCase));
    setAttribute(this.toggles.follow, "aria-pressed", String(logs.follow));
    this.custom.hidden = logs.span !== "custom";
    const { size } = this.list;
    const searching = this.waiting && !this.last;
    setText(
      this.count,
      searching ? "searching …" : size ? `${formatCount(size)} ${size === 1 ? "line" : "lines"}` : "",
    );
    const none =
      logs.pattern || logs.span || logs.containers ? "No line is like this." : "Nothing has been written yet.";
    this.list.why(searching ? "Searching …" : this.problem.hidden ? none : "");
    const chosen = logs.containers;
    const [first] = chosen ?? [];
    setText(
      this.picked,
      !chosen
        ? "All containers"
        : chosen.size === 1 && first
          ? (this.store.find(first)?.name ?? "1 container")
          : `${chosen.size} containers`,
    );
  }

  private showNames(): void {
    const rows = [...this.store.rows.values()].filter((row) => !row.gone).sort((a, b) => a.name.localeCompare(b.name));
    const { logs } = this.store.choices;
    const key = JSON.stringify([rows.map((row) => [row.id, row.name]), logs.containers && [...logs.containers]]);
    if (key === this.listed) return;
    this.listed = key;
    const had = this.names.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).dataset.id
      : undefined;
    this.names.replaceChildren(
      this.box("", "All containers", !logs.containers),
      ...rows.map((row) => this.box(row.id, row.name, logs.containers?.has(row.id) ?? false)),
    );
    if (had !== undefined) this.names.querySelector<HTMLElement>(`[data-id="${had}"]`)?.focus();
  }

  private box(id: string, name: string, checked: boolean): HTMLElement {
    const input = h("input", { type: "checkbox", "data-id": id });
    input.checked = checked;
    input.addEventListener(
      "change",
      () => {
        const chosen = new Set(id ? this.store.choices.logs.containers : []);
        if (id && !chosen.delete(id)) chosen.add(id);
        this.choose({ containers: chosen.size ? chosen : null });
        this.showNames();
      },
      { signal: this.signal },
    );
    return h("label", { class: "labd-box" }, input, h("span", {}, name));
  }
}
