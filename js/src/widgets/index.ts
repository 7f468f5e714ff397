// What the loader takes from the kernel: the code of all widgets, once for each page.

import glassStyle from "../style/glass_box.css";
import layerStyle from "../style/layer_explorer.css";
import transferStyle from "../style/transfer.css";
import viewStyle from "../style/views.css";
import style from "../style/widgets.css";
import { CardStore } from "./card.ts";
import { CgroupsView } from "./cgroup_view.ts";
import type { Model } from "./channel.ts";
import { useStyle } from "./dom.ts";
import { GlassStore, GlassView } from "./glass_box.ts";
import type { GlassReplay } from "./glass_messages.ts";
import { LayerView } from "./layer_explorer.ts";
import type { LayerReplay } from "./layer_messages.ts";
import { LayerStore } from "./layer_store.ts";
import type { ViewReplay } from "./live_messages.ts";
import { LiveStore } from "./live_store.ts";
import type { CardReplay, First, FromKernel } from "./messages.ts";
import { ProcessesView } from "./process_view.ts";
import { type BuildReplay, BuildStore } from "./progress.ts";
import { type TransferReplay, TransferStore } from "./transfer.ts";

interface WidgetModel extends Model {
  get(name: string): unknown;
}

type Mount = (el: HTMLElement, signal: AbortSignal) => void;

/** What a widget of this role keeps, and how a view of it is made. */
function open(model: WidgetModel, first: unknown): [{ take(message: FromKernel<never, never>): void }, Mount] {
  const role = model.get("_role");
  if (role === "layers") {
    const store = new LayerStore(model, first as First<LayerReplay> | null);
    return [store.channel, (el, signal) => new LayerView(store, el, signal)];
  }
  if (role === "explain" || role === "stepper") {
    const store = new GlassStore(model, first as First<GlassReplay> | null);
    return [store.channel, (el, signal) => new GlassView(store, el, signal)];
  }
  if (role === "transfer") {
    const store = new TransferStore(model, first as First<TransferReplay> | null);
    return [store.channel, (el, signal) => store.mount(el, signal)];
  }
  if (role === "processes" || role === "cgroup") {
    const store = new LiveStore(model, first as First<ViewReplay> | null);
    const View = role === "cgroup" ? CgroupsView : ProcessesView;
    return [store.channel, (el, signal) => new View(store, el, signal)];
  }
  const store =
    role === "progress"
      ? new BuildStore(model, first as First<BuildReplay> | null)
      : new CardStore(model, first as First<CardReplay> | null);
  return [store.channel, (el, signal) => store.mount(el, signal)];
}

/** The live side of one widget; views of it are made by `mount`. */
export function attach(model: WidgetModel, first: unknown) {
  const [channel, mount] = open(model, first);
  return {
    take(message: unknown): void {
      channel.take(message as FromKernel<never, never>);
    },
    mount(el: HTMLElement, signal: AbortSignal): void {
      useStyle("labcontainers-style", style + layerStyle + transferStyle + glassStyle + viewStyle);
      mount(el, signal);
    },
  };
}
