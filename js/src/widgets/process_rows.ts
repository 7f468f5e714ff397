// Which lines of a tree of processes are to be seen. Knows no document.

import type { Process, Thread } from "./live_messages.ts";

export interface Line {
  key: string;
  process: Process;
  /** Null for the process itself. */
  thread: Thread | null;
  depth: number;
  /** Whether anything lies below it: other processes. */
  parent: boolean;
}

export interface Chosen {
  /** Processes whose children are not shown. */
  folded: ReadonlySet<number>;
  /** Processes whose threads are shown. */
  threads: ReadonlySet<number>;
  text: string;
}

/** The lines in order: what is looked for stays with all that it descends from. */
export function linesOf(processes: readonly Process[], { folded, threads, text }: Chosen): Line[] {
  const kept = found(processes, text);
  const lines: Line[] = [];
  let hiddenBelow = Number.POSITIVE_INFINITY;
  processes.forEach((process, index) => {
    const { pid, depth } = process;
    if (depth > hiddenBelow) return;
    hiddenBelow = Number.POSITIVE_INFINITY;
    const parent = (processes[index + 1]?.depth ?? 0) > depth;
    if (parent && folded.has(pid) && !text.trim()) hiddenBelow = depth;
    if (!kept.has(pid)) return;
    lines.push({ key: String(pid), process, thread: null, depth, parent });
    if (!threads.has(pid)) return;
    for (const thread of process.threads) {
      lines.push({ key: `${pid}:${thread[0]}`, process, thread, depth: depth + 1, parent: false });
    }
  });
  return lines;
}

function found(processes: readonly Process[], text: string): Set<number> {
  const wanted = text.trim().toLowerCase();
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const kept = new Set<number>();
  for (const process of processes) {
    if (wanted && !wordsOf(process).includes(wanted)) continue;
    for (let at: Process | undefined = process; at && !kept.has(at.pid); at = byPid.get(at.parent)) kept.add(at.pid);
  }
  return kept;
}

function wordsOf({ command, pid, inside, user, user_outside, state, ports, namespaces, threads }: Process): string {
  const names = threads.map(([, name]) => name);
  return [command, pid, inside, user, user_outside, state, ...(ports ?? []), ...(namespaces ?? []), ...names]
    .join(" ")
    .toLowerCase();
}
