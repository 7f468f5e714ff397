// The progress of a pull, push, load or import: each layer a row, with what happens to it, a bar, its bytes and how fast they come.

import { Channel, type Model } from "./channel.ts";
import { h, setAttribute, setText } from "./dom.ts";
import { formatSize } from "./format.ts";
import type { First, TransferLayer, TransferParts, TransferState } from "./messages.ts";
import { dropRows, failureNote, ProgressFrame } from "./progress_frame.ts";

export interface TransferReplay {
  transfer: TransferState;
  layers: TransferLayer[];
}

export class TransferStore {
  transfer: TransferState | null = null;
  /** In the order in which they were first heard of. */
  readonly layers = new Map<string, TransferLayer>();
  readonly channel: Channel<TransferParts, TransferReplay>;

  constructor(model: Model, first: First<TransferReplay> | null) {
    this.channel = new Channel<TransferParts, TransferReplay>(model, this, first);
  }

  replay(data: TransferReplay): void {
    this.layers.clear();
    this.update(data);
  }

  update({ transfer, layers }: TransferParts): void {
    if (transfer) this.transfer = transfer;
    for (const layer of layers ?? []) this.layers.set(layer.id, layer);
  }

  mount(el: HTMLElement, signal: AbortSignal): void {
    new TransferView(this, el, signal);
  }
}

const DONE = { pull: "pulled", push: "pushed", load: "loaded", import: "imported" };
const GOING = { pull: "pulling", push: "pushing", load: "loading", import: "importing" };
const TONES: Record<string, string> = {
  waiting: "calm",
  exists: "calm",
  done: "good",
  mounted: "good",
  stopped: "bad",
};
/** Nothing of these goes over the wire. */
const STILL = ["exists", "mounted"];

/** What happens to a layer, or has happened. */
export function layerWords(verb: TransferState["verb"], layer: TransferLayer): string {
  if (layer.phase === "done") return DONE[verb];
  if (layer.phase === "exists") return "exists already";
  return layer.phase === "mounted" ? `mounted from ${layer.source}` : layer.phase;
}

export function layerAmount({ phase, current, total }: TransferLayer): string {
  if (STILL.includes(phase)) return "";
  if (phase === "done" || total < 0) return current ? formatSize(current) : "";
  return `${formatSize(current)} of ${formatSize(total)}`;
}

/** How much of a layer is there, from 0 to 1; null where that cannot be known. */
export function layerShare({ phase, current, total }: TransferLayer): number | null {
  if (phase === "done" || STILL.includes(phase)) return 1;
  if (phase === "waiting" || phase === "preparing") return 0;
  if (total < 0) return null;
  return total === 0 ? 1 : Math.min(1, current / total);
}

export interface Sum {
  ready: number;
  count: number;
  current: number;
  /** -1 where the size of a layer is not known. */
  total: number;
}

/** All layers together. */
export function sumOf(layers: Iterable<TransferLayer>): Sum {
  const sum = { ready: 0, count: 0, current: 0, total: 0 };
  for (const layer of layers) {
    if (layer.id) sum.count += 1;
    if (layer.id && (layer.phase === "done" || STILL.includes(layer.phase))) sum.ready += 1;
    if (STILL.includes(layer.phase)) continue;
    if (layer.phase !== "preparing") sum.current += layer.current;
    sum.total = layer.total < 0 || sum.total < 0 ? -1 : sum.total + layer.total;
  }
  return sum;
}

/** How far all layers are, in words. */
export function sumWords({ ready, count, current, total }: Sum, rate: number): string {
  const amount = total > current ? `${formatSize(current)} of ${formatSize(total)}` : formatSize(current);
  return [
    count && `${ready} of ${count} layer${count > 1 ? "s" : ""}`,
    current && amount,
    rate && `${formatSize(rate)}/s`,
  ]
    .filter(Boolean)
    .join(" · ");
}

class TransferView {
  private readonly sum = h("span", { class: "labc-muted labc-sum" });
  private readonly list = h("ul", { class: "labc-layers" });
  private readonly frame = new ProgressFrame("transfer", "All layers", this.list, this.sum);
  private readonly rows = new Map<string, LayerRow>();

  constructor(
    private readonly store: TransferStore,
    el: HTMLElement,
    signal: AbortSignal,
  ) {
    const running = () => store.transfer?.status === "running";
    this.frame.mount(el, store.channel, running, () => this.draw(), signal);
  }

  private draw(): void {
    const { transfer, layers, channel } = this.store;
    if (!transfer) return;
    const { verb, status, failure } = transfer;
    const name = `${verb[0]?.toUpperCase()}${verb.slice(1)} ${transfer.name}`.trim();
    const words = status === "running" ? GOING[verb] : status === "done" ? DONE[verb] : status;
    this.frame.show(name, name, transfer, words, channel.now());
    const sum = sumOf(layers.values());
    setText(this.sum, sumWords(sum, transfer.rate));
    this.frame.showBar(percentOf(sum, status === "done"), 100, status === "done");
    dropRows(this.rows, layers);
    for (const layer of layers.values()) {
      let row = this.rows.get(layer.id);
      if (!row) {
        row = new LayerRow();
        this.rows.set(layer.id, row);
        this.list.append(row.element);
      }
      row.show(transfer, layer);
    }
    this.list.hidden = this.rows.size === 0;
    this.frame.showResult(JSON.stringify(failure), () => (failure ? [failureNote(failure)] : []));
  }
}

/** How far all layers are; without sizes, those that are there are counted. */
function percentOf({ current, total, ready, count }: Sum, done: boolean): number {
  const share = total > 0 ? current / total : count ? ready / count : 0;
  return done ? 100 : Math.min(100, Math.round(100 * share));
}

class LayerRow {
  private readonly id = h("code", { class: "labc-layer-id" });
  private readonly phase = h("span", { class: "labc-layer-phase" });
  private readonly bar = h("div", {
    class: "labc-layer-bar",
    role: "progressbar",
    "aria-valuemin": 0,
    "aria-valuemax": 100,
  });
  private readonly filled = h("div", { class: "labc-layer-filled" });
  private readonly amount = h("span", { class: "labc-layer-amount" });
  private readonly rate = h("span", { class: "labc-layer-rate labc-muted" });
  readonly element = h("li", { class: "labc-layer" }, this.id, this.phase, this.bar, this.amount, this.rate);
  private shown: TransferLayer | null = null;

  constructor() {
    this.bar.append(this.filled);
  }

  show({ verb }: TransferState, layer: TransferLayer): void {
    if (layer === this.shown) return;
    this.shown = layer;
    const share = layerShare(layer);
    setAttribute(this.element, "data-phase", layer.phase);
    setAttribute(this.element, "data-tone", TONES[layer.phase] ?? "busy");
    setText(this.id, layer.id);
    this.id.hidden = !layer.id;
    const words = layerWords(verb, layer);
    setText(this.phase, words);
    setAttribute(this.phase, "title", words);
    setAttribute(this.bar, "aria-label", layer.id || "Archive");
    // without a value the bar says that something goes on, and not how far it is
    setAttribute(this.bar, "aria-valuenow", share === null ? null : Math.round(100 * share));
    this.filled.style.width = share === null ? "" : `${100 * share}%`;
    setText(this.amount, layerAmount(layer));
    setText(this.rate, layer.rate ? `${formatSize(layer.rate)}/s` : "");
  }
}
