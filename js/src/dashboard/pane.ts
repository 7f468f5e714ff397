// What is laid over the tabs: the document of a thing, or a terminal in a container.

import { viewOf } from "../widgets/card_terminal.ts";
import { h, icon, setText } from "../widgets/dom.ts";
import { small } from "./parts.ts";
import type { Choices, DashStore } from "./store.ts";

type Pane = NonNullable<Choices["pane"]>;

export class PaneView {
  readonly element = h("section", { class: "labd-pane", hidden: true });
  private readonly title = h("b", {});
  private readonly body = h("div", { class: "labd-pane-body" });
  private readonly copy: HTMLButtonElement;
  private readonly close: HTMLButtonElement;
  private shown: Pane | null = null;
  private terminal = "";
  private document = "";
  private view: { remove(): void } | null = null;

  constructor(
    private readonly store: DashStore,
    private readonly closed: () => void,
    private readonly signal: AbortSignal,
  ) {
    this.copy = small("copy", "copy", "Copy", () => void this.copyAll(), signal);
    this.close = small("close", "close", "Close", closed, signal);
    const bar = h(
      "div",
      { class: "labc-bar labd-bar" },
      this.title,
      h("span", { class: "labc-spring" }),
      this.copy,
      this.close,
    );
    this.element.append(bar, this.body);
    this.element.addEventListener("keydown", (event) => this.pressed(event), { signal });
    signal.addEventListener("abort", () => this.view?.remove());
  }

  private pressed(event: KeyboardEvent): void {
    // a terminal needs its Escape
    if (event.key === "Escape" && this.shown?.what === "inspect") this.closed();
  }

  private async copyAll(): Promise<void> {
    await navigator.clipboard.writeText(this.document);
    this.copy.classList.add("labc-done");
    setTimeout(() => this.copy.classList.remove("labc-done"), 900);
  }

  show(): void {
    const { pane } = this.store.choices;
    this.element.hidden = !pane;
    if (pane?.what === "terminal") this.showTerminal(pane);
    if (pane === this.shown) return;
    this.shown = pane;
    if (!pane) {
      this.clear();
      return;
    }
    setText(this.title, `${pane.what === "inspect" ? "Inspect" : "Terminal in"} ${pane.name}`);
    this.element.setAttribute("aria-label", this.title.textContent ?? "");
    this.copy.hidden = pane.what !== "inspect";
    if (pane.what === "inspect") this.inspect(pane);
    if (this.element.isConnected) this.close.focus();
  }

  private clear(): void {
    this.view?.remove();
    this.view = null;
    this.terminal = "";
    this.document = "";
    this.body.replaceChildren();
  }

  private inspect(pane: Pane): void {
    this.clear();
    this.body.append(h("div", { class: "labd-empty" }, "Reading …"));
    this.store.ask({ ask: "inspect", kind: pane.kind, id: pane.id }, ({ data, failure }) => {
      if (pane !== this.shown || this.signal.aborted) return;
      if (failure) {
        this.body.replaceChildren(
          h("div", { class: "labd-empty" }, h("span", {}, failure.message), h("span", {}, failure.hint)),
        );
        return;
      }
      this.document = String(data);
      this.body.replaceChildren(h("pre", { class: "labd-document", tabindex: 0 }, ...coloured(this.document)));
    });
  }

  private showTerminal(pane: Pane): void {
    const id = this.store.terminals[pane.id] ?? "";
    if (id === this.terminal && this.shown === pane) return;
    if (this.shown !== pane || this.terminal) this.clear();
    this.terminal = id;
    if (!id) {
      this.body.replaceChildren(h("div", { class: "labd-empty" }, icon("terminal"), "Opening …"));
      return;
    }
    const wanted = () => !this.signal.aborted && this.terminal === id;
    void viewOf(this.store.model, id, wanted).then((view) => {
      if (!view) return;
      this.view = view;
      this.body.replaceChildren(h("div", { class: "labd-terminal" }, view.el));
    });
  }
}

/** A JSON document with its names and values in colours. */
export function coloured(text: string): Node[] {
  const nodes: Node[] = [];
  let from = 0;
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\b\d[\d.eE+-]*/g)) {
    if (match.index > from) nodes.push(document.createTextNode(text.slice(from, match.index)));
    const kind = match[2] ? "key" : match[1] ? "text" : "value";
    nodes.push(h("span", { class: `labd-${kind}` }, match[1] ?? match[0]));
    if (match[2]) nodes.push(document.createTextNode(match[2]));
    from = match.index + match[0].length;
  }
  nodes.push(document.createTextNode(text.slice(from)));
  return nodes;
}
