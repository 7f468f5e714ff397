// What passes between the kernel and the glass box; the same words are in labcontainers/widgets/messages.py.

import type { Failure } from "./messages.ts";

export interface Stage {
  name: string;
  title: string;
  note: string;
}

export interface Operation {
  name: string;
  /** Who does it: engine, shim or init. */
  by: string;
  man_page: string;
  /** The arguments, readable. */
  text: string;
  note: string;
  /** "ok", "planned", "unknown", or why not. */
  result: string;
  failed: boolean;
  /** Null where it has no time of its own. */
  duration_us: number | null;
  stage: string;
  /** What it adds to the picture. */
  parts: string[];
}

export interface Explained {
  name: string;
  summary: string;
  planned: boolean;
  made: boolean;
  docker: string;
  shell: string;
  stages: Stage[];
  operations: Operation[];
}

/** What the half-made process looks like: [name, value] in groups. */
export interface Look {
  title: string;
  rows: [string, string, boolean][];
}

export interface StepState {
  status: "going" | "waiting" | "running" | "aborted" | "failed";
  /** The stage that comes next, while it waits. */
  stage: string;
  pid: number;
  look: Look[];
  failure: Failure | null;
}

/** Processes that have all their namespaces in common; each cell is an inode (0: not known) and a number for what is not the host's. */
export interface SharingSubject {
  name: string;
  kind: "host" | "container" | "process";
  pids: number[];
  cells: [number, number][];
}

export interface Sharing {
  time: number;
  kinds: string[];
  subjects: SharingSubject[];
  unseen: number;
}

export interface GlassParts {
  explained?: Explained;
  step?: StepState | null;
  sharing?: Sharing | null;
}

export interface GlassReplay extends GlassParts {
  explained: Explained;
  step: StepState | null;
}
