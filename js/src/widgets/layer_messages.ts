// What passes between the kernel and the layer explorer; the same words are in labcontainers/widgets/messages.py.

import type { Failure } from "./messages.ts";

export interface ExploredLayer {
  /** From the bottom up. */
  index: number;
  diff_id: string;
  size_bytes: number;
  created_by: string;
  created: string;
}

export interface ExploredImage {
  id: string;
  name: string;
  size_bytes: number;
  layers: ExploredLayer[];
  /** Names of images that this one can be compared with. */
  others: string[];
}

/** Added, modified, removed. */
export type ChangeCounts = [number, number, number];

export interface WastedFiles {
  size_bytes: number;
  total_bytes: number;
  /** How many there are; `files` are the largest: path, bytes, what became of it. */
  count: number;
  files: [string, number, string][];
}

export interface ComparedImages {
  other: string;
  shared_layers: number;
  other_layers: number;
  size_bytes: number;
  changes: ChangeCounts;
  /** Field, before, after. */
  config: [string, string, string][];
}

/** Sent as JSON in the action of an act. `source` is "layer 3" or "diff NAME"; row -1 is the top. */
export type Question =
  | { ask: "folder"; source: string; row: number; start: number }
  | { ask: "search"; source: string; text: string; changes: string[] }
  | { ask: "compare"; other: string };

/** Row, name or path, kind, permissions, owner, bytes (below zero: gone), change, link, changes below it, by what it differs. */
export type FileRow = [number, string, string, string, string, number, string, string, ChangeCounts, string[]];

export interface Answer {
  /** The action that asked for it, word for word. */
  question: string;
  rows: FileRow[];
  /** Those left out counted as well. */
  total: number;
  failure: Failure | null;
}

export interface LayerParts {
  /** Layer, added, modified, removed. */
  changes?: [number, number, number, number][];
  wasted?: WastedFiles | null;
  comparison?: ComparedImages | null;
  failure?: Failure | null;
  answers?: Answer[];
}

export interface LayerReplay extends LayerParts {
  image: ExploredImage;
}
