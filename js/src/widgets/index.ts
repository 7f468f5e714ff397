// What the loader takes from the kernel: the code of all widgets, once for each page.

import style from "../style/widgets.css";
import { CardStore } from "./card.ts";
import type { Model } from "./channel.ts";
import { useStyle } from "./dom.ts";
import type { CardReplay, First, FromKernel } from "./messages.ts";
import { type BuildReplay, BuildStore } from "./progress.ts";

interface WidgetModel extends Model {
  get(name: string): unknown;
}

/** The live side of one widget; views of it are made by `mount`. */
export function attach(model: WidgetModel, first: unknown) {
  const store =
    model.get("_role") === "progress"
      ? new BuildStore(model, first as First<BuildReplay> | null)
      : new CardStore(model, first as First<CardReplay> | null);
  return {
    take(message: unknown): void {
      store.channel.take(message as FromKernel<never, never>);
    },
    mount(el: HTMLElement, signal: AbortSignal): void {
      useStyle("labcontainers-style", style);
      store.mount(el, signal);
    },
  };
}
