// The head of the dashboard: which container is chosen, or all of them, what can be done with it, and which time its charts show.

import { h, icon, setAttribute, setText } from "../widgets/dom.ts";
import { RANGES } from "./charts.ts";
import { badge, doing, since } from "./containers_tab.ts";
import type { Row } from "./messages.ts";
import { download, pressable } from "./parts.ts";
import { type DashStore, runs } from "./store.ts";
import type { Act } from "./view.ts";

export class Head {
  readonly element: HTMLElement;
  private readonly name = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge", role: "status" });
  private readonly uptime = h("span", { class: "labc-muted labc-uptime" });
  private readonly about = h("div", { class: "labd-about" });
  private readonly words = h("span", { class: "labc-muted" });
  private readonly all: HTMLButtonElement;
  private readonly buttons: Record<
    "turn" | "restart" | "pause" | "logs" | "terminal" | "inspect" | "remove",
    HTMLButtonElement
  >;
  private readonly actions = h("div", { class: "labc-actions labd-actions", role: "group", "aria-label": "Actions" });
  private readonly ranges: HTMLButtonElement[];
  private row: Row | undefined;

  constructor(
    private readonly store: DashStore,
    act: Act,
    private readonly changed: () => void,
    private readonly signal: AbortSignal,
  ) {
    const button = (name: string, picture: string, words: string, work: (row: Row) => void) =>
      pressable(name, picture, words, () => this.row && work(this.row), signal);
    const begin = (verb: string) => (row: Row) => act.begin(verb, "container", row.id, row.name);
    this.all = pressable("all", "back", "All containers", () => this.showAll(), signal);
    this.buttons = {
      turn: button("turn", "stop", "Stop", (row) => begin(runs(row) ? "stop" : "start")(row)),
      restart: button("restart", "restart", "Restart", begin("restart")),
      pause: button("pause", "pause", "Pause", (row) => begin(row.status === "paused" ? "unpause" : "pause")(row)),
      logs: button("logs", "logs", "Logs", (row) => act.logs(row)),
      terminal: button("terminal", "terminal", "Terminal", (row) => act.terminal(row)),
      inspect: button("inspect", "inspect", "Inspect", (row) => act.inspect("container", row.id, row.name)),
      remove: button("remove", "remove", "Remove", (row) => act.remove(row)),
    };
    this.ranges = RANGES.map(({ seconds, text, title }) => {
      const range = h(
        "button",
        { type: "button", class: "labd-range", title: `Show ${title}`, "aria-pressed": "false" },
        text,
      );
      range.addEventListener("click", () => this.choose(seconds), { signal });
      return range;
    });
    const csv = pressable("csv", "download", "CSV", () => this.save(), signal);
    csv.title = "Save the figures of the last hour as CSV";
    this.actions.append(this.all, ...Object.values(this.buttons), this.words);
    this.element = h(
      "header",
      { class: "labc-head labd-head" },
      h("div", { class: "labc-line labd-line" }, this.name, this.badge, this.uptime, this.about),
      h(
        "div",
        { class: "labd-tools" },
        h("span", { class: "labd-ranges", role: "group", "aria-label": "Time that the charts show" }, ...this.ranges),
        csv,
      ),
      this.actions,
    );
  }

  private showAll(): void {
    this.store.choices.selected = "";
    this.changed();
    this.ranges[0]?.focus();
  }

  private choose(seconds: number): void {
    this.store.choices.range = seconds;
    this.changed();
  }

  private save(): void {
    const { row } = this;
    const name = row?.name ?? "containers";
    this.store.ask({ ask: "csv", id: row?.id ?? "" }, ({ data, failure }) => {
      if (!failure && !this.signal.aborted) download(`${name}-history.csv`, String(data), "text/csv");
    });
  }

  show(row: Row | undefined): void {
    this.row = row;
    for (const [index, range] of this.ranges.entries())
      setAttribute(range, "aria-pressed", String(RANGES[index]?.seconds === this.store.choices.range));
    for (const part of this.actions.children) (part as HTMLElement).hidden = (part === this.words) === Boolean(row);
    if (row) this.showOne(row);
    else this.showSum();
  }

  private showSum(): void {
    const there = [...this.store.rows.values()].filter((row) => !row.gone);
    const running = there.filter(runs).length;
    const failed = there.filter((row) => badge(row).tone === "bad").length;
    setText(this.name, "All containers");
    setText(this.badge, `${running} running`);
    setAttribute(this.badge, "data-tone", running ? "good" : "calm");
    const stopped = there.length - running;
    setText(
      this.uptime,
      [stopped ? `${stopped} not running` : "", failed ? `${failed} failed` : ""].filter(Boolean).join(", "),
    );
    const removed = this.store.rows.size - there.length;
    const history = removed
      ? `; ${removed} removed ${removed === 1 ? "one keeps its" : "ones keep their"} history`
      : "";
    setText(this.words, there.length || removed ? `Choose a container to see it alone${history}.` : "Nothing runs.");
    this.tell([], "");
  }

  private showOne(row: Row): void {
    const { buttons } = this;
    const busy = doing(this.store, row);
    const { text, tone } = badge(row);
    setText(this.name, row.name);
    setText(this.badge, busy || text);
    setAttribute(this.badge, "data-tone", busy ? "busy" : tone);
    setText(this.uptime, since(row, this.store.channel.now()));
    const parts = [
      h("span", { class: "labc-image" }, row.image),
      h("code", { title: row.id }, row.id.slice(0, 12)),
      h("code", { class: "labc-command", title: row.command }, row.why || row.command),
    ];
    this.tell(parts, JSON.stringify([row.image, row.id, row.why, row.command]));
    const running = runs(row);
    label(buttons.turn, running ? "stop" : "start", running ? "Stop" : "Start");
    label(buttons.pause, row.status === "paused" ? "start" : "pause", row.status === "paused" ? "Resume" : "Pause");
    for (const [name, button] of Object.entries(buttons)) {
      const needs = name === "pause" || name === "terminal" ? !running : false;
      button.disabled = row.gone || needs || (busy !== "" && name !== "logs" && name !== "inspect");
    }
  }

  private tell(about: HTMLElement[], key: string): void {
    if (this.about.dataset.key === key) return;
    this.about.dataset.key = key;
    this.about.replaceChildren(...about);
  }
}

/** Give a button another picture and other words. */
function label(button: HTMLButtonElement, picture: string, words: string): void {
  const text = button.lastElementChild;
  if (!text || text.textContent === words) return;
  text.textContent = words;
  button.firstElementChild?.replaceWith(icon(picture));
}
