// The tab of disk use: what images, containers, volumes and the build cache take, and how much of it can be removed.

import { h, setText } from "../widgets/dom.ts";
import { formatSize } from "../widgets/format.ts";
import type { DiskRow } from "./messages.ts";
import { pressable } from "./parts.ts";
import type { DashStore } from "./store.ts";
import type { Act } from "./view.ts";

/** What is asked before the reclaimable part of a kind is removed. */
const PRUNES: Record<string, [string, string, string]> = {
  Images: ["image", "all", "Remove all images that no container uses?"],
  Containers: ["container", "", "Remove all containers that do not run, with files and logs?"],
  "Local Volumes": ["volume", "all", "Remove all volumes that no container has, with their files?"],
  "Build Cache": ["builder", "", "Forget the steps of builds that no image needs?"],
};

export class DiskTab {
  readonly element: HTMLElement;
  private readonly body = h("div", { class: "labd-space" });
  private readonly problem = h("div", { class: "labd-problem", role: "alert", hidden: true });
  private readonly all = h("span", { class: "labd-count" });
  private readonly again: HTMLButtonElement;
  private shown = "";

  constructor(
    private readonly store: DashStore,
    private readonly act: Act,
    private readonly changed: () => void,
    private readonly signal: AbortSignal,
  ) {
    const refresh = () => {
      this.store.refresh("disk");
      this.changed();
    };
    this.again = pressable("refresh", "restart", "Measure again", refresh, signal);
    const bar = h("div", { class: "labc-bar labd-bar" }, this.all, h("span", { class: "labc-spring" }), this.again);
    this.element = h("div", { class: "labd-tab" }, bar, this.problem, this.body);
  }

  show(): void {
    const { rows, failure, loading } = this.store.listed<DiskRow>("disk");
    this.again.disabled = loading;
    this.problem.hidden = !failure;
    if (failure) setText(this.problem, [failure.message, failure.hint].filter(Boolean).join("; "));
    const total = (rows ?? []).reduce((sum, row) => sum + row.size_bytes, 0);
    const free = (rows ?? []).reduce((sum, row) => sum + row.reclaimable_bytes, 0);
    setText(
      this.all,
      rows ? `${formatSize(total)} in all, of which ${formatSize(free)} can be removed` : loading ? "Measuring …" : "",
    );
    const key = JSON.stringify(rows);
    if (key === this.shown) return;
    this.shown = key;
    const largest = Math.max(1, ...(rows ?? []).map((row) => row.size_bytes));
    this.body.replaceChildren(...(rows ?? []).map((row) => this.kind(row, largest)));
  }

  private kind(row: DiskRow, largest: number): HTMLElement {
    const share = (bytes: number) => `${(100 * bytes) / largest}%`;
    const used = h("span", { class: "labd-used" });
    used.style.width = share(row.size_bytes - row.reclaimable_bytes);
    const free = h("span", { class: "labd-free" });
    free.style.width = share(row.reclaimable_bytes);
    const [kind, which, question] = PRUNES[row.name] ?? ["", "", ""];
    const back = pressable(
      "prune",
      "remove",
      row.reclaimable_bytes ? `Remove ${formatSize(row.reclaimable_bytes)}` : "Nothing to remove",
      () => this.act.ask(question, "Remove", () => this.act.begin("prune", kind, which)),
      this.signal,
    );
    back.classList.add("labd-back");
    back.disabled = !row.reclaimable_bytes || !kind;
    const of = row.name === "Build Cache" ? `${row.total} entries` : `${row.total}, ${row.active} in use`;
    return h(
      "section",
      { class: "labd-kind", "aria-label": row.name },
      h("b", {}, row.name),
      h("span", { class: "labc-muted" }, of),
      h("span", { class: "labd-size" }, formatSize(row.size_bytes)),
      back,
      h("div", { class: "labd-bar-of", "aria-hidden": "true" }, used, free),
    );
  }
}
