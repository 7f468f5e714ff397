// The layers of an image as a stack: a strip in which each is as wide as it is large, and a list with what made each.

import { h, setAttribute } from "./dom.ts";
import { chips, signed } from "./file_tree.ts";
import { formatSize } from "./format.ts";
import type { ChangeCounts, ComparedImages, ExploredImage } from "./layer_messages.ts";

/** "layer 3", or "diff NAME". */
export type Source = string;

export interface StackFacts {
  image: ExploredImage;
  changes: ReadonlyMap<number, ChangeCounts>;
  comparison: ComparedImages | null;
  chosen: Source;
}

/** The part of the strip that each layer takes, in percent: by size, but none so small that it cannot be seen. */
export function shares(sizes: readonly number[]): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (!sizes.length) return [];
  const least = Math.min(1, 100 / sizes.length);
  const raw = sizes.map((size) => Math.max(least, total ? (100 * size) / total : 100 / sizes.length));
  const sum = raw.reduce((one, other) => one + other, 0);
  return raw.map((share) => (100 * share) / sum);
}

export class LayerStack {
  readonly strip = h("div", { class: "labx-strip", "aria-hidden": "true" });
  readonly list = h("div", { class: "labx-stack", role: "listbox", "aria-label": "Layers, from the bottom up" });
  private readonly options = new Map<Source, HTMLElement>();
  private sources: Source[] = [];
  private built = "";

  constructor(
    private readonly choose: (source: Source) => void,
    signal: AbortSignal,
  ) {
    const pick = (event: Event) => {
      const source = (event.target as Element).closest<HTMLElement>("[data-source]")?.dataset.source;
      if (source) this.choose(source);
    };
    this.strip.addEventListener("click", pick, { signal });
    this.list.addEventListener("click", pick, { signal });
    this.list.addEventListener("keydown", (event) => this.pressed(event), { signal });
  }

  show({ image, changes, comparison, chosen }: StackFacts): void {
    this.build(image, comparison);
    for (const [source, option] of this.options) {
      setAttribute(option, "aria-selected", String(source === chosen));
      option.tabIndex = source === chosen ? 0 : -1;
    }
    for (const segment of this.strip.children)
      setAttribute(segment, "data-chosen", (segment as HTMLElement).dataset.source === chosen);
    for (const [layer, counts] of changes) this.count(`layer ${layer}`, counts);
    if (comparison) this.count(`diff ${comparison.other}`, comparison.changes);
  }

  private count(source: Source, counts: ChangeCounts): void {
    const place = this.options.get(source)?.querySelector(".labx-counts");
    if (!place || place.textContent) return;
    const told = chips(counts);
    place.replaceChildren(...(told.length ? told : ["no changes"]));
  }

  private build(image: ExploredImage, comparison: ComparedImages | null): void {
    const key = JSON.stringify([image.id, comparison]);
    if (key === this.built) return;
    const inside = this.list.contains(document.activeElement);
    this.built = key;
    this.options.clear();
    const largest = Math.max(1, ...image.layers.map((layer) => layer.size_bytes));
    const parts = shares(image.layers.map((layer) => layer.size_bytes));
    if (comparison) this.options.set(`diff ${comparison.other}`, comparedOption(comparison));
    for (const layer of image.layers) {
      const shared = comparison !== null && layer.index < comparison.shared_layers;
      const bar = h("span", { class: "labx-bar" });
      bar.style.width = `${(100 * layer.size_bytes) / largest}%`;
      const option = h(
        "div",
        { class: "labx-layer", title: layer.created_by || "not told what made it" },
        h("span", { class: "labx-number" }, String(layer.index)),
        h(
          "code",
          { class: "labx-made" },
          shared ? h("span", { class: "labc-stage" }, "shared") : null,
          shared ? " " : null,
          ...instructionOf(layer.created_by),
        ),
        h("span", { class: "labx-bar-room" }, bar),
        h("span", { class: "labx-counts" }),
        h("span", { class: "labx-layer-size" }, formatSize(layer.size_bytes)),
      );
      this.options.set(`layer ${layer.index}`, option);
    }
    this.strip.replaceChildren(
      ...image.layers.map((layer, place) => {
        const size = formatSize(layer.size_bytes);
        const title = `layer ${layer.index}, ${size}\n${layer.created_by}`;
        const segment = h("span", { class: "labx-segment", "data-source": `layer ${layer.index}`, title });
        segment.style.width = `${parts[place] ?? 0}%`;
        return segment;
      }),
    );
    this.sources = [...this.options.keys()];
    for (const [source, option] of this.options) {
      option.dataset.source = source;
      option.setAttribute("role", "option");
    }
    this.list.replaceChildren(...this.options.values());
    if (inside) this.options.get(this.sources[0] ?? "")?.focus();
  }

  private pressed(event: KeyboardEvent): void {
    const place = this.sources.findIndex((source) => this.options.get(source)?.tabIndex === 0);
    const last = this.sources.length - 1;
    const steps: Record<string, number> = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: last };
    const next = steps[event.key];
    if (next === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const source = this.sources[Math.max(0, Math.min(last, next))];
    if (source) {
      this.choose(source);
      const option = this.options.get(source);
      option?.focus();
      option?.scrollIntoView({ block: "nearest" });
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

function comparedOption(comparison: ComparedImages): HTMLElement {
  const { size_bytes: bytes } = comparison;
  return h(
    "div",
    { class: "labx-layer labx-compared", title: `what makes ${comparison.other} of this image` },
    h("span", { class: "labx-number" }, "Δ"),
    h("code", { class: "labx-made" }, `→ ${comparison.other}`),
    h("span", { class: "labx-bar-room" }),
    h("span", { class: "labx-counts" }),
    h("span", { class: "labx-layer-size" }, `${bytes < 0 ? "" : "+"}${signed(bytes)}`),
  );
}

/** An instruction with its keyword marked. */
export function instructionOf(text: string): (Node | string)[] {
  if (!text) return [h("span", { class: "labc-muted" }, "not told what made it")];
  const keyword = /^[A-Z]+(?=\s)/.exec(text)?.[0] ?? "";
  return keyword ? [h("b", {}, keyword), text.slice(keyword.length)] : [text];
}
