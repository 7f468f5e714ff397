// The tabs of images, volumes, networks and events: tables that are asked for when they are looked at.

import { h, icon, setAttribute, setText } from "../widgets/dom.ts";
import { formatClock, formatSize, formatUptime } from "../widgets/format.ts";
import { briefly } from "./containers_tab.ts";
import type { EventRow, ImageRow, NetworkRow, VolumeRow } from "./messages.ts";
import { field, pressable } from "./parts.ts";
import type { DashStore } from "./store.ts";
import type { Act } from "./view.ts";
import { type Column, VirtualTable } from "./virtual_table.ts";

interface ListOptions<T> {
  name: "images" | "volumes" | "networks" | "events";
  label: string;
  columns: Column<T>[];
  key: (row: T) => string;
  sort: { column: string; down: boolean };
  words: (row: T) => string;
  none: string;
  buttons?: HTMLElement[];
}

export class ListTab<T> {
  readonly element: HTMLElement;
  private readonly table: VirtualTable<T>;
  private readonly problem = h("div", { class: "labd-problem", role: "alert", hidden: true });
  private text = "";

  constructor(
    private readonly store: DashStore,
    private readonly options: ListOptions<T>,
    private readonly rows: () => readonly T[] | null,
    signal: AbortSignal,
  ) {
    const { choices } = store;
    const sort = choices.sorts.get(options.name) ?? options.sort;
    choices.sorts.set(options.name, sort);
    this.table = new VirtualTable<T>(
      { label: options.label, columns: options.columns, rowPx: 32, key: options.key, sort, scrolls: choices.scrolls },
      signal,
    );
    const filter = (text: string) => {
      this.text = text.toLowerCase();
      this.show();
    };
    const [box] = field("Filter", `Filter ${options.label.toLowerCase()}`, filter, signal);
    const bar = h(
      "div",
      { class: "labc-bar labd-bar" },
      box,
      h("span", { class: "labc-spring" }),
      ...(options.buttons ?? []),
    );
    this.element = h("div", { class: "labd-tab" }, bar, this.problem, this.table.element);
  }

  show(): void {
    const rows = this.rows();
    const { name, words, none } = this.options;
    const failure = name === "events" ? null : this.store.listed<T>(name).failure;
    this.problem.hidden = !failure;
    if (failure) setText(this.problem, [failure.message, failure.hint].filter(Boolean).join("; "));
    const wanted = (rows ?? []).filter((row) => words(row).toLowerCase().includes(this.text));
    this.table.show(wanted, rows === null ? (failure ? "" : "Reading …") : this.text ? "Nothing is like this." : none);
  }
}

function text<T>(
  id: string,
  title: string,
  width: string,
  of: (row: T) => string,
  more: Partial<Column<T>> = {},
): Column<T> {
  const show = (cell: HTMLElement, row: T) => {
    setText(cell, of(row));
    setAttribute(cell, "title", of(row));
  };
  return { id, title, width, sort: of, show, ...more };
}

function number<T>(
  id: string,
  title: string,
  width: string,
  of: (row: T) => number,
  format: (value: number) => string,
  from = 0,
): Column<T> {
  return { id, title, width, from, kind: "number", sort: of, show: (cell, row) => setText(cell, format(of(row))) };
}

/** Buttons at the end of a row: to inspect it, and to remove it, unless `fixed`. */
function actions<T>(
  act: Act,
  kind: string,
  id: (row: T) => string,
  name: (row: T) => string,
  fixed: (row: T) => boolean,
): Column<T> {
  const of = new WeakMap<HTMLElement, T>();
  const button = (cell: HTMLElement, action: string, work: (row: T) => void) => {
    const made = h(
      "button",
      { type: "button", class: "labc-button labc-quiet labd-icon", "data-action": action },
      icon(action),
    );
    made.addEventListener("click", () => {
      const row = of.get(cell);
      if (row) work(row);
    });
    cell.append(made);
  };
  return {
    id: "actions",
    title: "Actions",
    width: "64px",
    kind: "actions",
    make: (cell) => {
      button(cell, "inspect", (row) => act.inspect(kind, id(row), name(row)));
      button(cell, "remove", (row) =>
        act.ask(`Remove the ${kind} ${name(row)}?`, "Remove", () => act.begin("remove", kind, id(row), name(row))),
      );
    },
    show: (cell, row) => {
      of.set(cell, row);
      const [inspect, remove] = cell.children as unknown as [HTMLButtonElement, HTMLButtonElement];
      for (const [made, word] of [
        [inspect, "Inspect"],
        [remove, "Remove"],
      ] as const) {
        setAttribute(made, "title", `${word} ${name(row)}`);
        setAttribute(made, "aria-label", `${word} ${name(row)}`);
      }
      remove.hidden = fixed(row);
      remove.disabled = act.acts(kind, id(row));
    },
  };
}

const ago = (store: DashStore) => (time: number) => briefly(`${formatUptime(store.channel.now() - time)} ago`);

export function imagesTab(store: DashStore, act: Act, signal: AbortSignal): ListTab<ImageRow> {
  const named = (row: ImageRow) => row.name || "‹untagged›";
  const prune = (name: string, words: string, question: string, which: string) =>
    pressable(
      name,
      "remove",
      words,
      () => act.ask(question, "Remove", () => act.begin("prune", "image", which)),
      signal,
    );
  return new ListTab<ImageRow>(
    store,
    {
      name: "images",
      label: "Images",
      key: (row) => `${row.id} ${row.name}`,
      sort: { column: "created", down: true },
      words: (row) => `${row.name} ${row.id}`,
      none: "There are no images yet. `%container pull`, `%%dockerfile`, or the first run of lab/base make some.",
      buttons: [
        prune("prune", "Remove untagged", "Remove all images without a name that no container uses?", ""),
        prune("prune-all", "Remove unused", "Remove all images that no container uses, those with names too?", "all"),
      ],
      columns: [
        text("name", "Name", "minmax(100px, 2fr)", named),
        text("id", "Id", "110px", (row) => row.id.replace("sha256:", "").slice(0, 12), { from: 560 }),
        number("size", "Size", "90px", (row) => row.size_bytes, formatSize),
        number("created", "Created", "110px", (row) => row.created_at, ago(store), 460),
        number(
          "containers",
          "Used by",
          "80px",
          (row) => row.containers,
          (count) => (count ? String(count) : "–"),
          430,
        ),
        actions(
          act,
          "image",
          (row) => row.target,
          named,
          (row) => row.read_only,
        ),
      ],
    },
    () => store.listed<ImageRow>("images").rows,
    signal,
  );
}

export function volumesTab(store: DashStore, act: Act, signal: AbortSignal): ListTab<VolumeRow> {
  const prune = (name: string, words: string, question: string, which: string) =>
    pressable(
      name,
      "remove",
      words,
      () => act.ask(question, "Remove", () => act.begin("prune", "volume", which)),
      signal,
    );
  return new ListTab<VolumeRow>(
    store,
    {
      name: "volumes",
      label: "Volumes",
      key: (row) => row.name,
      sort: { column: "name", down: false },
      words: (row) => `${row.name} ${row.users.join(" ")}`,
      none: "There are no volumes. `%container volume create NAME` makes one.",
      buttons: [
        prune(
          "prune",
          "Remove unnamed",
          "Remove all volumes without a name that no container has, with their files?",
          "",
        ),
        prune("prune-all", "Remove unused", "Remove all volumes that no container has, with their files?", "all"),
      ],
      columns: [
        text("name", "Name", "minmax(110px, 1.5fr)", (row) => row.short),
        text("users", "Used by", "minmax(100px, 1.5fr)", (row) => row.users.join(", ") || "–"),
        text("driver", "Driver", "80px", (row) => row.driver, { from: 560 }),
        text("place", "Place", "minmax(100px, 2fr)", (row) => row.mountpoint, { from: 700 }),
        number("created", "Created", "110px", (row) => row.created_at, ago(store), 460),
        actions(
          act,
          "volume",
          (row) => row.name,
          (row) => row.short,
          () => false,
        ),
      ],
    },
    () => store.listed<VolumeRow>("volumes").rows,
    signal,
  );
}

export function networksTab(store: DashStore, act: Act, signal: AbortSignal): ListTab<NetworkRow> {
  return new ListTab<NetworkRow>(
    store,
    {
      name: "networks",
      label: "Networks",
      key: (row) => row.name,
      sort: { column: "name", down: false },
      words: (row) => `${row.name} ${row.containers.join(" ")}`,
      none: "There are no networks.",
      columns: [
        text("name", "Name", "minmax(80px, 1fr)", (row) => row.name),
        text("driver", "Driver", "80px", (row) => row.driver, { from: 440 }),
        text("subnet", "Subnet", "130px", (row) => row.subnet || "–", { from: 480 }),
        text("gateway", "Gateway", "120px", (row) => row.gateway || "–", { from: 640 }),
        text("containers", "Containers that run", "minmax(110px, 2fr)", (row) => row.containers.join(", ") || "–"),
        actions(
          act,
          "network",
          (row) => row.name,
          (row) => row.name,
          () => true,
        ),
      ],
    },
    () => store.listed<NetworkRow>("networks").rows,
    signal,
  );
}

export function eventsTab(store: DashStore, signal: AbortSignal): ListTab<EventRow> {
  return new ListTab<EventRow>(
    store,
    {
      name: "events",
      label: "Events",
      key: (row) => `${row.time} ${row.id} ${row.action}`,
      sort: { column: "time", down: true },
      words: (row) => `${row.type} ${row.action} ${row.name} ${row.about}`,
      none: "Nothing has happened yet.",
      columns: [
        { ...number<EventRow>("time", "Time", "104px", (row) => row.time, formatClock), kind: "number" },
        text("type", "Type", "84px", (row) => row.type, { from: 440 }),
        text("action", "Event", "minmax(80px, 0.8fr)", (row) => row.action),
        text("name", "Name", "minmax(80px, 1fr)", (row) => row.name),
        text("about", "About", "minmax(120px, 2fr)", (row) => row.about, { from: 560 }),
      ],
    },
    () => store.events,
    signal,
  );
}
