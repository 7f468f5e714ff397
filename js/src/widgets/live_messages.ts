// What passes between the kernel and the views of a running container; the same words are in labcontainers/widgets/*_view.py.

import type { Failure } from "./messages.ts";

export interface ViewState {
  status: "live" | "ended" | "removed";
  /** What kept it from being read. */
  failure: Failure | null;
}

export interface ViewBatch {
  changed: Record<string, unknown>;
  gone: string[];
}

export interface ViewParts {
  state?: ViewState;
  parts?: ViewBatch;
}

export interface ViewReplay {
  name: string;
  state: ViewState;
  parts: ViewBatch;
}

/** [tid, name, state, percent of one CPU] */
export type Thread = [number, string, string, number];

export interface Process {
  pid: number;
  /** Null where it is not known. */
  inside: number | null;
  parent: number;
  depth: number;
  user: string;
  user_outside: string;
  state: string;
  /** Percent of one CPU. */
  cpu: number;
  memory: number;
  thread_count: number;
  threads: Thread[];
  /** Those that differ from the container's; null where this user may not look. */
  namespaces: string[] | null;
  ports: string[] | null;
  command: string;
}

export interface CgroupAbout {
  version: string;
  summary: string;
  directories: string[];
  reason: string;
  pressure_of: string;
}

export interface GaugeState {
  name: string;
  /** From 0 to 1; null without a limit. */
  share: number | null;
  own: boolean;
  text: string;
}

type Averages = [number, number, number];

export interface PressureState {
  resource: string;
  some: Averages;
  full: Averages | null;
  note: string;
}

export interface GroupFile {
  name: string;
  controller: string;
  kind: string;
  path: string;
  value: string;
  plain: string;
  note: string;
  source: string;
}
