// The shapes of everything that passes between kernel and browser; the same words are in labcontainers/widgets/messages.py.
// Times are seconds since the epoch by the kernel's clock, unless a name says otherwise.

export interface PortLink {
  /** What is shown: "8080 → 80/tcp". */
  text: string;
  /** The address it is bound to on the kernel's host, "" when nothing can be opened in a browser. */
  host: string;
  port: number;
  /** The path through a hub's proxy, "" when the port is reached directly. */
  path: string;
}

export interface Facts {
  id: string;
  name: string;
  image: string;
  command: string;
  created_at: number;
  ports: PortLink[];
  /** What holds it on this machine, and what that means. */
  level?: string;
  level_means?: string;
}

/** A checkpoint of a container's files; `parent` is the one before it, 0 for the image. */
export interface Point {
  number: number;
  label: string;
  parent: number;
  created_at: number;
  /** Whether the files that the container has now come from this one. */
  current: boolean;
}

export interface ContainerState {
  status: string;
  exit_code: number;
  oom_killed: boolean;
  error: string;
  started_at: number | null;
  finished_at: number | null;
  warnings: string[];
  /** Oldest first. */
  checkpoints?: Point[];
}

/** cpu_percent: 100 is one full processor. Rates are bytes per second; null where the host cannot tell. */
export interface Sample {
  time: number;
  cpu_percent: number;
  memory_bytes: number;
  memory_limit_bytes: number | null;
  pids: number | null;
  network_rx: number | null;
  network_tx: number | null;
  block_read: number | null;
  block_write: number | null;
}

/** [stream, time, text]: stream 1 is stdout, 2 is stderr. */
export type LogRow = [number, number, string];

/** `skipped` lines came before `rows` and were left out. */
export interface LogBatch {
  skipped: number;
  rows: LogRow[];
}

export interface Failure {
  message: string;
  hint: string;
}

export interface CardParts {
  state?: ContainerState;
  samples?: Sample[];
  log?: LogBatch;
  /** What a button set going: "stop", "restart", "remove", "rollback" and a number, or "" when nothing is. */
  acting?: string;
  failure?: Failure | null;
  /** The widget of the terminal that was opened from the card, "" for none. */
  terminal?: string;
}

export interface CardReplay extends Required<CardParts> {
  facts: Facts;
}

export type StepStatus = "waiting" | "running" | "cached" | "done" | "failed" | "cancelled";

/** Where a step stands among the lanes of stages: its own, those that go on above and below it, and those that join its own. */
export interface Lane {
  own: number;
  above: boolean[];
  below: boolean[];
  joins: number[];
}

export interface Step {
  index: number;
  total: number;
  stage: string;
  text: string;
  /** Line of the Dockerfile, from 1; 0 when not known. */
  line: number;
  status: StepStatus;
  started_at: number | null;
  duration_s: number | null;
  layer_size_bytes: number | null;
  message: string;
  /** Why the step was not in the cache, "" when not known. */
  reason: string;
  /** Which other build does the same step now, or who has a cache that it needs; "" when nothing is waited for. */
  waits_for: string;
  /** Null where there is only one stage. */
  lane: Lane | null;
}

export interface BuildState {
  status: "running" | "done" | "failed" | "cancelled";
  /** Somebody has pressed the button. */
  cancelling: boolean;
  started_at: number;
  duration_s: number | null;
  image_id: string;
  tags: string[];
  failure: (Failure & { line: number; source: string }) | null;
}

/** `skipped` bytes of the step's output came before `text` and were left out. */
export interface StepOutput {
  index: number;
  skipped: number;
  text: string;
}

export interface BuildParts {
  build?: BuildState;
  steps?: Step[];
  output?: StepOutput[];
}

export type TransferPhase =
  | "waiting"
  | "preparing"
  | "downloading"
  | "unpacking"
  | "pushing"
  | "loading"
  | "importing"
  | "done"
  | "exists"
  | "mounted"
  | "stopped";

/** One layer on its way: bytes as they are stored (total -1: unknown), rate in bytes per second. */
export interface TransferLayer {
  id: string;
  phase: TransferPhase;
  current: number;
  total: number;
  rate: number;
  /** The repository that a layer was mounted from. */
  source: string;
}

export interface TransferState {
  verb: "pull" | "push" | "load" | "import";
  name: string;
  status: "running" | "done" | "failed" | "interrupted";
  started_at: number;
  duration_s: number | null;
  /** Of all layers together; at the end the average. */
  rate: number;
  failure: Failure | null;
}

export interface TransferParts {
  transfer?: TransferState;
  layers?: TransferLayer[];
}

/** `columns` is 0 where the page decides; `own`: the container's own terminal. */
export interface TerminalFacts {
  id: string;
  name: string;
  title: string;
  own: boolean;
  rows: number;
  columns: number;
}

export interface TerminalState {
  status: "waiting" | "starting" | "running" | "exited" | "closed" | "failed";
  exit_code: number | null;
  /** Of the container, when the command ended. */
  container: string;
  failure: Failure | null;
  rows: number;
  columns: number;
}

export interface TerminalParts {
  state?: TerminalState;
  /** The bytes beside this message come after `at` others. */
  output?: { at: number };
  /** Everything before is to be forgotten. */
  cleared?: boolean;
  /** The bytes beside this message paint the screen as it was after `at` bytes. */
  screen?: { at: number };
  /** By page: how many more bytes of what it typed were taken. */
  taken?: Record<string, number>;
}

export interface TerminalReplay {
  facts: TerminalFacts;
  state: TerminalState;
  screen: { at: number };
}

/** From the kernel. Updates are numbered; one that is missing makes the browser ask for everything again. */
export type FromKernel<Parts, Replay> =
  | { kind: "code"; hash: string; text: string }
  | { kind: "replay"; seq: number; now: number; data: Replay }
  | { kind: "update"; seq: number; now: number; data: Parts };

/** To the kernel. `page` names this browser page. */
export type ToKernel =
  | { kind: "code" }
  | { kind: "ready"; page: string }
  | { kind: "watch"; page: string; views: number }
  | { kind: "act"; action: string }
  | { kind: "taken"; page: string; at: number }
  | { kind: "keys"; page: string; number: number; answer: boolean }
  | { kind: "size"; page: string; rows: number; columns: number }
  | { kind: "screen"; page: string; text: string; left: boolean };

/** What the loader finds in the widget when it is opened; the kernel takes it away at once, so that no notebook keeps it. */
export interface First<Replay> {
  code: string;
  replay: { seq: number; now: number; data: Replay };
}
