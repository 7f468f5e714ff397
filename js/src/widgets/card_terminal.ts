// The terminal that a card opens below itself: a widget of its own, which the page's widget manager makes.

import type { Model } from "./channel.ts";
import { h, icon, setAttribute } from "./dom.ts";

export interface View {
  el: HTMLElement;
  remove(): void;
}

interface Manager {
  get_model(id: string): Promise<unknown> | undefined;
  create_view(model: unknown): Promise<View>;
}

/** A view of another widget of this kernel; null where there is none, or it is not `wanted` any more once it is made. */
export async function viewOf(model: Model, id: string, wanted: () => boolean): Promise<View | null> {
  const manager = (model as { widget_manager?: Manager }).widget_manager;
  const other = await manager?.get_model(id);
  if (!manager || !other || !wanted()) return null;
  const view = await manager.create_view(other);
  if (wanted()) return view;
  view.remove();
  return null;
}

export class CardTerminal {
  readonly button = h(
    "button",
    { type: "button", class: "labc-button", "data-action": "terminal", "aria-expanded": "false" },
    icon("terminal"),
    h("span", {}, "Terminal"),
  );
  readonly element = h("div", { class: "labc-card-terminal", hidden: true });
  private known = "";
  private view: View | null = null;

  constructor(
    private readonly model: Model,
    open: () => void,
    private readonly signal: AbortSignal,
  ) {
    this.button.addEventListener("click", () => (this.view ? this.turn(this.element.hidden) : open()), { signal });
    signal.addEventListener("abort", () => this.view?.remove());
  }

  /** `id` is the widget of the terminal, "" when none was opened. */
  show(id: string, possible: boolean): void {
    this.button.disabled = !possible && !this.view;
    if (id === this.known) return;
    this.known = id;
    this.view?.remove();
    this.view = null;
    if (id) void this.open(id);
  }

  private async open(id: string): Promise<void> {
    const view = await viewOf(this.model, id, () => !this.signal.aborted && id === this.known);
    if (!view) return;
    this.view = view;
    this.element.replaceChildren(view.el);
    this.turn(true);
  }

  private turn(on: boolean): void {
    this.element.hidden = !on;
    setAttribute(this.button, "aria-expanded", String(on));
  }
}
