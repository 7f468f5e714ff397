// The tab of all containers: a row for each, with what it uses, and what can be done with it.

import { h, icon, setAttribute, setText } from "../widgets/dom.ts";
import { formatBytes, formatPercent, formatUptime } from "../widgets/format.ts";
import { niceCeiling, niceMemoryCeiling } from "../widgets/sparkline.ts";
import type { Row } from "./messages.ts";
import { choice, field, pressable, Spark } from "./parts.ts";
import { CPU, MEMORY, resample } from "./series.ts";
import { type DashStore, runs } from "./store.ts";
import type { Act } from "./view.ts";
import { type Column, VirtualTable } from "./virtual_table.ts";

const SPARK_S = 60;

/** What the badge of a container says, and in which tone. */
export function badge(row: Row): { text: string; tone: string } {
  if (row.status === "running") {
    if (row.health === "unhealthy") return { text: "unhealthy", tone: "bad" };
    return { text: row.health === "starting" ? "starting" : "running", tone: "good" };
  }
  if (row.status === "paused" || row.status === "restarting") return { text: row.status, tone: "warn" };
  if (row.status === "exited") {
    if (row.oom_killed) return { text: "out of memory", tone: "bad" };
    return { text: `exited (${row.exit_code})`, tone: row.exit_code === 0 ? "calm" : "bad" };
  }
  return { text: row.status, tone: row.status === "dead" ? "bad" : "calm" };
}

/** How long it has been so. */
export function since(row: Row, now: number): string {
  if (runs(row)) return row.started_at === null ? "" : formatUptime(now - row.started_at);
  if (row.gone || row.finished_at === null) return "";
  return `${formatUptime(now - row.finished_at)} ago`;
}

const DOING: Record<string, string> = {
  start: "starting …",
  stop: "stopping …",
  restart: "restarting …",
  pause: "pausing …",
  unpause: "resuming …",
  remove: "removing …",
  terminal: "opening …",
};

/** A time by its largest unit alone: "5 h 12 m ago" is "5 h ago". */
export function briefly(text: string): string {
  return text.replace(/^(\d+ [mhd]) \d+ [smh]/, "$1");
}

/** A published port, shorter: "0.0.0.0:8080->80/tcp" is "8080→80". */
export function port(text: string): string {
  return text
    .replace(/^(0\.0\.0\.0|\[::\]):/, "")
    .replace("->", "→")
    .replace(/\/tcp$/, "");
}

/** What is done with it now, "" for nothing. */
export function doing(store: DashStore, row: Row): string {
  const verb = store.acting[`container ${row.id}`];
  return verb ? (DOING[verb] ?? `${verb} …`) : "";
}

const STATUSES: [string, string][] = [
  ["", "All states"],
  ["running", "Running"],
  ["ended", "Not running"],
  ["gone", "Removed"],
];

/** Those that the reader wants to see. */
export function matching(rows: Iterable<Row>, text: string, status: string): Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return [...rows].filter((row) => {
    const fits = { running: runs(row), ended: !runs(row) && !row.gone, gone: row.gone }[status] ?? true;
    const all = `${row.name} ${row.image} ${row.id} ${row.command} ${row.ports.join(" ")}`.toLowerCase();
    return fits && words.every((word) => all.includes(word));
  });
}

const sparks = new WeakMap<HTMLElement, Spark>();

export class ContainersTab {
  readonly element: HTMLElement;
  private readonly table: VirtualTable<Row>;
  private readonly count = h("span", { class: "labc-muted labd-count", role: "status" });
  private readonly prune: HTMLButtonElement;

  constructor(
    private readonly store: DashStore,
    private readonly act: Act,
    private readonly changed: () => void,
    signal: AbortSignal,
  ) {
    const { choices } = store;
    const sort = choices.sorts.get("containers") ?? { column: "created", down: true };
    choices.sorts.set("containers", sort);
    this.table = new VirtualTable<Row>(
      {
        label: "Containers",
        columns: this.columns(),
        rowPx: 36,
        key: (row) => String(row.key),
        sort,
        scrolls: choices.scrolls,
        choose: (row) => this.choose(row),
        chosen: (row) => row.id === choices.selected,
        dim: (row) => row.gone,
      },
      signal,
    );
    const [box, input] = field("Name, image, port …", "Filter containers", (text) => this.filter({ text }), signal);
    input.value = choices.text;
    const states = choice("State", STATUSES, (status) => this.filter({ status }), signal);
    states.value = choices.status;
    this.prune = pressable("prune", "remove", "Remove ended", () => this.askPrune(), signal);
    const bar = h(
      "div",
      { class: "labc-bar labd-bar" },
      box,
      states,
      this.count,
      h("span", { class: "labc-spring" }),
      this.prune,
    );
    this.element = h("div", { class: "labd-tab" }, bar, this.table.element);
  }

  private askPrune(): void {
    const ended = [...this.store.rows.values()].filter((row) => !row.gone && !runs(row) && row.status !== "restarting");
    const what =
      ended.length === 1 ? "the container that does not run" : `all ${ended.length} containers that do not run`;
    this.act.ask(`Remove ${what}, with files and logs?`, "Remove", () => this.act.begin("prune", "container", ""));
  }

  private choose(row: Row): void {
    const { choices } = this.store;
    choices.selected = choices.selected === row.id ? "" : row.id;
    this.changed();
  }

  private filter(wish: { text?: string; status?: string }): void {
    Object.assign(this.store.choices, wish);
    this.changed();
  }

  show(): void {
    const { rows, choices } = this.store;
    const all = [...rows.values()];
    // those that are gone are shown where they are asked for, or chosen
    const wanted = matching(all, choices.text, choices.status).filter(
      (row) => !row.gone || choices.status === "gone" || row.id === choices.selected,
    );
    const there = all.filter((row) => !row.gone).length;
    setText(this.count, wanted.length === there || choices.status === "gone" ? "" : `${wanted.length} of ${there}`);
    this.prune.disabled = !all.some((row) => !row.gone && !runs(row));
    this.table.show(wanted, choices.text || choices.status ? "No container is like this." : nothing());
  }

  // --- columns

  private columns(): Column<Row>[] {
    const now = () => this.store.channel.now();
    const figure = (row: Row, which: number) =>
      runs(row) ? (this.store.seriesOf(row.key).last?.[which] ?? null) : null;
    const text = (id: string, title: string, width: string, from: number, of: (row: Row) => string): Column<Row> => ({
      id,
      title,
      width,
      from,
      sort: of,
      show: (cell, row) => {
        setText(cell, of(row));
        setAttribute(cell, "title", of(row));
      },
    });
    return [
      {
        id: "name",
        title: "Name",
        width: "minmax(72px, 1.3fr)",
        sort: (row) => row.name,
        make: (cell) =>
          cell.append(h("span", { class: "labd-dot", "aria-hidden": "true" }), h("span", { class: "labd-name" })),
        show: (cell, row) => {
          setAttribute(cell, "data-tone", doing(this.store, row) ? "busy" : badge(row).tone);
          setText(cell.lastElementChild as Element, row.name);
          setAttribute(cell, "title", `${row.name}\n${row.id.slice(0, 12)}`);
        },
      },
      text("image", "Image", "minmax(80px, 1.1fr)", 660, (row) => row.image),
      {
        id: "status",
        title: "Status",
        width: "minmax(100px, 1.5fr)",
        sort: (row) => badge(row).text,
        make: (cell) => cell.append(h("span", { class: "labd-status" }), h("span", { class: "labc-muted labd-since" })),
        show: (cell, row) => {
          const at = doing(this.store, row);
          const { text: said, tone } = badge(row);
          setAttribute(cell, "data-tone", at ? "busy" : tone);
          setText(cell.firstElementChild as Element, at || said);
          setText(cell.lastElementChild as Element, at ? "" : briefly(since(row, now())));
          setAttribute(cell, "title", row.why || null);
        },
      },
      this.sparkColumn("cpu", "CPU", CPU, formatPercent, (value) => niceCeiling(value, 10), figure),
      this.sparkColumn("memory", "Memory", MEMORY, formatBytes, niceMemoryCeiling, figure),
      text("ports", "Ports", "minmax(80px, 1fr)", 780, (row) => (row.gone ? "" : row.ports.map(port).join(", "))),
      {
        id: "created",
        title: "Created",
        width: "84px",
        from: 940,
        kind: "number",
        sort: (row) => row.created_at,
        show: (cell, row) => setText(cell, briefly(`${formatUptime(now() - row.created_at)} ago`)),
      },
      {
        id: "actions",
        title: "Actions",
        width: "84px",
        kind: "actions",
        make: (cell) => this.makeActions(cell),
        show: (cell, row) => this.showActions(cell, row),
      },
    ];
  }

  private sparkColumn(
    id: string,
    title: string,
    which: number,
    format: (value: number) => string,
    top: (value: number) => number,
    figure: (row: Row, which: number) => number | null,
  ): Column<Row> {
    return {
      id,
      title,
      width: "minmax(116px, 0.9fr)",
      from: id === "cpu" ? 480 : 580,
      kind: "number",
      sort: (row) => figure(row, which) ?? -1,
      make: (cell) => {
        const spark = new Spark(60, 20);
        sparks.set(cell, spark);
        cell.append(spark.element, h("span", {}));
      },
      show: (cell, row) => {
        const value = figure(row, which);
        setText(cell.lastElementChild as Element, value === null ? "–" : format(value));
        const values = resample(this.store.seriesOf(row.key).points, which, this.store.time, 2, SPARK_S / 2);
        sparks.get(cell)?.show(values, top(Math.max(0, ...values.map(Number))));
      },
    };
  }

  private makeActions(cell: HTMLElement): void {
    for (const name of ["turn", "logs", "remove"]) {
      const button = h("button", { type: "button", class: "labc-button labc-quiet labd-icon", "data-action": name });
      button.append(icon(name === "turn" ? "stop" : name));
      button.addEventListener("click", () => this.pressed(cell, name));
      cell.append(button);
    }
  }

  private showActions(cell: HTMLElement, row: Row): void {
    cell.dataset.id = row.id;
    const [turn, logs, remove] = cell.children as unknown as [HTMLButtonElement, HTMLButtonElement, HTMLButtonElement];
    const word = runs(row) ? "stop" : "start";
    if (turn.dataset.word !== word) {
      turn.dataset.word = word;
      turn.replaceChildren(icon(word));
    }
    const busy = doing(this.store, row) !== "";
    for (const [button, title] of [
      [turn, word === "stop" ? "Stop" : "Start"],
      [logs, "Logs of"],
      [remove, "Remove"],
    ] as const) {
      setAttribute(button, "title", `${title} ${row.name}`);
      setAttribute(button, "aria-label", `${title} ${row.name}`);
      button.disabled = row.gone || (busy && button !== logs);
    }
  }

  private pressed(cell: HTMLElement, name: string): void {
    const row = this.store.find(cell.dataset.id ?? "");
    if (!row) return;
    if (name === "logs") this.act.logs(row);
    else if (name === "remove") this.act.remove(row);
    else this.act.begin(runs(row) ? "stop" : "start", "container", row.id, row.name);
  }
}

function nothing(): Node[] {
  return [
    h("b", {}, "No containers yet"),
    h("span", {}, "Start one in a cell, and it shows up here:"),
    h("code", {}, "%container run -d --name web -p 8080:80 lab/base httpd -f"),
  ];
}
