// What the loader of a dashboard takes from the kernel, once for each page. The other widgets do not need it.

import dashboardStyle from "../style/dashboard.css";
import style from "../style/widgets.css";
import type { Model } from "../widgets/channel.ts";
import { useStyle } from "../widgets/dom.ts";
import type { First, FromKernel } from "../widgets/messages.ts";
import type { DashParts, DashReplay } from "./messages.ts";
import { DashStore } from "./store.ts";
import { DashView } from "./view.ts";

/** The live side of one dashboard; views of it are made by `mount`. */
export function attach(model: Model, first: unknown) {
  const store = new DashStore(model, first as First<DashReplay> | null);
  return {
    take(message: unknown): void {
      store.channel.take(message as FromKernel<DashParts, DashReplay>);
    },
    mount(el: HTMLElement, signal: AbortSignal): void {
      useStyle("labcontainers-dashboard-style", style + dashboardStyle);
      new DashView(store, el, signal);
    },
  };
}
