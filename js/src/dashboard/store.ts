// What a page knows of all containers; any number of views show it. Knows no document.

import { Channel, type Model } from "../widgets/channel.ts";
import type { Failure, First } from "../widgets/messages.ts";
import type { Answer, DashParts, DashReplay, EventRow, Note, Order, Point, Row } from "./messages.ts";
import { Series } from "./series.ts";

const EVENTS_KEPT = 2000;
const REFRESH_AFTER_MS = 600;

export type Tab = "containers" | "logs" | "images" | "volumes" | "networks" | "events" | "disk";

/** The rows of a tab that are asked for, and how they came. */
export interface Listed<T> {
  rows: T[] | null;
  failure: Failure | null;
  loading: boolean;
}

/** What a reader chose; it outlives a view that is drawn anew. */
export class Choices {
  tab: Tab = "containers";
  /** The id of the chosen container, "" for all. */
  selected = "";
  /** Seconds that the charts show. */
  range = 120;
  text = "";
  status = "";
  height = 0;
  readonly sorts = new Map<string, { column: string; down: boolean }>();
  readonly scrolls = new Map<string, number>();
  readonly seen = new Set<number>();
  pane: { kind: string; id: string; name: string; what: "inspect" | "terminal" } | null = null;
  readonly logs = {
    pattern: "",
    regex: true,
    matchCase: false,
    /** Ids, null for all. */
    containers: null as Set<string> | null,
    span: "",
    from: "",
    to: "",
    follow: true,
  };
}

/** Which events make another table of a tab. */
const TOUCHED_BY: Record<string, string[]> = {
  images: ["image", "container"],
  volumes: ["volume", "container"],
  networks: ["network", "container"],
};

export class DashStore {
  readonly choices = new Choices();
  readonly rows = new Map<number, Row>();
  readonly total = new Series();
  private readonly series = new Map<number, Series>();
  events: EventRow[] = [];
  acting: Record<string, string> = {};
  notes: Note[] = [];
  terminals: Record<string, string> = {};
  failure: Failure | null = null;
  /** Of the last tick. */
  time = 0;
  readonly channel: Channel<DashParts, DashReplay>;
  private readonly tables = new Map<string, Listed<unknown>>();
  private readonly asked = new Map<string, (answer: Answer) => void>();
  private asks = 0;

  constructor(
    readonly model: Model,
    first: First<DashReplay> | null,
  ) {
    this.channel = new Channel<DashParts, DashReplay>(model, this, first);
  }

  replay({ recent, total, ...rest }: DashReplay): void {
    this.rows.clear();
    this.series.clear();
    this.events = [];
    this.total.points = [];
    this.total.replace(total, true);
    for (const [key, points] of Object.entries(recent)) this.seriesOf(Number(key)).replace(points, false);
    this.time = total.at(-1)?.[0] ?? this.channel?.now() ?? 0;
    this.update(rest);
    // what was asked may be what was missed
    for (const question of this.asked.keys()) this.channel?.act(question);
  }

  update(parts: DashParts): void {
    for (const row of parts.containers ?? []) this.rows.set(row.key, row);
    for (const key of parts.forgotten ?? []) {
      this.rows.delete(key);
      this.series.delete(key);
    }
    if (parts.tick) this.tick(parts.tick);
    if (parts.events?.length) this.happened(parts.events);
    if (parts.acting) this.acting = parts.acting;
    if (parts.notes) this.notes = parts.notes;
    if (parts.terminals) this.terminals = parts.terminals;
    if (parts.failure !== undefined) this.failure = parts.failure;
    for (const answer of parts.answers ?? []) {
      const done = this.asked.get(answer.question);
      this.asked.delete(answer.question);
      done?.(answer);
    }
  }

  private tick({ time, total, used }: { time: number; total: Point[1][]; used: [number, ...Point[1][]][] }): void {
    this.time = time;
    this.total.add([time, ...total]);
    const changed = new Set<number>();
    for (const [key, ...figures] of used) {
      changed.add(key);
      this.seriesOf(key).add([time, ...figures]);
    }
    for (const row of this.rows.values()) if (runs(row) && !changed.has(row.key)) this.series.get(row.key)?.hold(time);
  }

  private happened(events: EventRow[]): void {
    this.events = [...this.events, ...events].slice(-EVENTS_KEPT);
    const kinds = new Set(events.map((event) => event.type));
    for (const [name, types] of Object.entries(TOUCHED_BY))
      if (types.some((type) => kinds.has(type))) this.outdate(name);
  }

  seriesOf(key: number): Series {
    let series = this.series.get(key);
    if (!series) {
      series = new Series();
      this.series.set(key, series);
    }
    return series;
  }

  find(id: string): Row | undefined {
    if (id) for (const row of this.rows.values()) if (row.id === id) return row;
    return undefined;
  }

  /** The figures of the chosen container, or of all; the whole hour is asked for when it is not here. */
  chosen(): Series {
    const row = this.find(this.choices.selected);
    if (!row) return this.total;
    const series = this.seriesOf(row.key);
    if (!series.whole) {
      series.whole = true;
      this.ask({ ask: "history", id: row.id }, ({ data, failure }) => {
        if (!failure) series.replace(data as Point[], true);
      });
    }
    return series;
  }

  // --- orders

  act(verb: string, kind: string, id: string, name = ""): void {
    this.acting = { ...this.acting, [`${kind} ${id}`]: verb };
    this.channel.act(JSON.stringify({ do: verb, kind, id, name } satisfies Order));
  }

  ask(order: Order, done: (answer: Answer) => void): void {
    const question = JSON.stringify({ ...order, n: ++this.asks });
    this.asked.set(question, done);
    this.channel.act(question);
  }

  busy(busy: boolean): void {
    this.channel.act(JSON.stringify({ busy } satisfies Order));
  }

  // --- tables

  /** The rows of a tab, which are asked for when they are not here or something has happened to them. */
  listed<T>(name: string): Listed<T> {
    let listed = this.tables.get(name);
    if (!listed) {
      listed = { rows: null, failure: null, loading: false };
      this.tables.set(name, listed);
      this.refresh(name);
    }
    return listed as Listed<T>;
  }

  refresh(name: string): void {
    const listed = this.tables.get(name);
    if (!listed || listed.loading) return;
    listed.loading = true;
    this.ask({ ask: "table", name }, ({ data, failure }) => {
      this.tables.set(name, { rows: failure ? listed.rows : (data as unknown[]), failure, loading: false });
    });
  }

  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();

  private outdate(name: string): void {
    if (!this.tables.has(name) || this.timers.has(name)) return;
    const later = () => {
      this.timers.delete(name);
      if (this.choices.tab === name) this.refresh(name);
      else this.tables.delete(name);
    };
    this.timers.set(name, setTimeout(later, REFRESH_AFTER_MS));
  }

  /** How many rows a tab has, where that is known. */
  count(name: string): number | null {
    return this.tables.get(name)?.rows?.length ?? null;
  }
}

/** Whether it uses anything. */
export function runs(row: Row): boolean {
  return !row.gone && (row.status === "running" || row.status === "paused");
}
