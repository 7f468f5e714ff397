// What the loader of a terminal takes from the kernel, once for each page. The other widgets do not need it.

import xtermStyle from "@xterm/xterm/css/xterm.css";
import terminalStyle from "../style/terminal.css";
import style from "../style/widgets.css";
import { useStyle } from "../widgets/dom.ts";
import type { First, FromKernel, TerminalParts, TerminalReplay } from "../widgets/messages.ts";
import { type TerminalModel, TerminalStore } from "./store.ts";

/** The live side of one terminal; views of it are made by `mount`. */
export function attach(model: TerminalModel, first: unknown) {
  const store = new TerminalStore(model, first as First<TerminalReplay> | null);
  return {
    take(message: unknown, buffers?: DataView[]): void {
      store.take(message as FromKernel<TerminalParts, TerminalReplay>, buffers ?? []);
    },
    mount(el: HTMLElement, signal: AbortSignal): void {
      useStyle("labcontainers-terminal-style", xtermStyle + style + terminalStyle);
      store.mount(el, signal);
    },
  };
}
