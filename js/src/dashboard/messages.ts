// What passes between a dashboard and its pages; the same words are in labcontainers/widgets/dashboard/messages.py.
// Times are seconds since the epoch by the kernel's clock.

import type { Failure } from "../widgets/messages.ts";

/** cpu_percent (100 is one processor), memory_bytes, network_rx, network_tx, block_read, block_write (bytes per second), pids. */
export type Figures = (number | null)[];

/** A time, and the figures then. */
export type Point = [number, ...Figures];

/** A container; `key` is the number by which samples name it. */
export interface Row {
  key: number;
  id: string;
  name: string;
  image: string;
  command: string;
  network: string;
  ports: string[];
  created_at: number;
  /** Docker's word, or "removed". */
  status: string;
  exit_code: number;
  oom_killed: boolean;
  health: string;
  /** Why it failed, "" when it did not. */
  why: string;
  started_at: number | null;
  finished_at: number | null;
  gone: boolean;
}

/** `used` has [key, ...figures] of those containers of which anything changed. */
export interface Tick {
  time: number;
  total: Figures;
  used: [number, ...Figures][];
}

export interface EventRow {
  time: number;
  type: string;
  action: string;
  id: string;
  name: string;
  about: string;
}

export interface Note {
  number: number;
  about: string;
  text: string;
  hint: string;
  tone: "good" | "bad";
}

export interface Answer {
  question: string;
  data: unknown;
  failure: Failure | null;
}

export interface DashParts {
  tick?: Tick;
  containers?: Row[];
  /** Keys of containers of which nothing is known any more. */
  forgotten?: number[];
  events?: EventRow[];
  answers?: Answer[];
  /** What is done now: the verb by kind and id. */
  acting?: Record<string, string>;
  notes?: Note[];
  /** Widgets of terminals by the container's id. */
  terminals?: Record<string, string>;
  failure?: Failure | null;
}

export interface DashReplay extends DashParts {
  containers: Row[];
  /** The last minute of each container, by its key. */
  recent: Record<string, Point[]>;
  /** The last hour of all containers together. */
  total: Point[];
}

export interface ImageRow {
  id: string;
  name: string;
  /** By what it is removed: a name, or the id of one without. */
  target: string;
  created_at: number;
  size_bytes: number;
  containers: number;
  read_only: boolean;
}

export interface VolumeRow {
  name: string;
  short: string;
  driver: string;
  created_at: number;
  mountpoint: string;
  users: string[];
  anonymous: boolean;
}

export interface NetworkRow {
  name: string;
  driver: string;
  subnet: string;
  gateway: string;
  bridge: string;
  containers: string[];
}

export interface DiskRow {
  name: string;
  total: number;
  active: number;
  size_bytes: number;
  reclaimable_bytes: number;
}

/** Container's id, stream, time, text with its colours, where in the plain text it was found, and whether it has an end. */
export type FoundLine = [string, number, number, string, [number, number][], boolean];

/** `since`: how far back all was looked at, null for all there is; `last`: after which to ask for what is new. */
export interface FoundLines {
  lines: FoundLine[];
  since: number | null;
  last: string;
}

/** What a page orders, as JSON in the action of an act. */
export interface Order {
  do?: string;
  ask?: string;
  busy?: boolean;
  kind?: string;
  id?: string;
  name?: string;
  containers?: string[] | null;
  wish?: Record<string, unknown>;
  /** Makes the question another one than the same asked before. */
  n?: number;
}
