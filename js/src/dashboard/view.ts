// The dashboard: what is chosen with its charts above, and the tabs below.

import { every, h, keepKeys, perFrame, setAttribute, setText } from "../widgets/dom.ts";
import { Charts } from "./charts.ts";
import { ContainersTab } from "./containers_tab.ts";
import { DiskTab } from "./disk_tab.ts";
import { Head } from "./head.ts";
import { eventsTab, imagesTab, networksTab, volumesTab } from "./lists.ts";
import { LogsTab } from "./logs_tab.ts";
import type { Row } from "./messages.ts";
import { PaneView } from "./pane.ts";
import { pressable } from "./parts.ts";
import { type DashStore, runs, type Tab } from "./store.ts";

/** What the parts of a dashboard may have done. */
export interface Act {
  begin(verb: string, kind: string, id: string, name?: string): void;
  /** Ask before it is done. */
  ask(question: string, yes: string, work: () => void): void;
  remove(row: Row): void;
  logs(row: Row): void;
  terminal(row: Row): void;
  inspect(kind: string, id: string, name: string): void;
  /** Whether something is done with it now. */
  acts(kind: string, id: string): boolean;
}

interface Panel {
  readonly element: HTMLElement;
  show(chosen: boolean): void;
}

const TABS: [Tab, string][] = [
  ["containers", "Containers"],
  ["logs", "Logs"],
  ["images", "Images"],
  ["volumes", "Volumes"],
  ["networks", "Networks"],
  ["events", "Events"],
  ["disk", "Disk"],
];
let views = 0;

export class DashView implements Act {
  private readonly root = h("article", {
    class: "labc labd",
    "data-lm-suppress-shortcuts": "true",
    "aria-label": "Dashboard of containers",
    tabindex: -1,
  });
  private readonly head: Head;
  private readonly charts: Charts;
  private readonly notes = h("div", { class: "labc-notes labd-notes", role: "status" });
  private readonly strip = h("div", { class: "labd-tabs", role: "tablist", "aria-label": "What is shown" });
  private readonly body = h("div", { class: "labd-body" });
  private readonly confirm = h("div", {
    class: "labd-confirm",
    role: "alertdialog",
    "aria-modal": "true",
    hidden: true,
  });
  private readonly tabs = new Map<Tab, { button: HTMLButtonElement; count: HTMLElement; panel: Panel }>();
  private readonly logsTab: LogsTab;
  private readonly pane: PaneView;
  private readonly own = `labd-${++views}`;
  private readonly redraw: () => void;
  private back: HTMLElement | null = null;

  constructor(
    private readonly store: DashStore,
    el: HTMLElement,
    private readonly signal: AbortSignal,
  ) {
    this.redraw = perFrame(() => this.draw(), signal);
    this.head = new Head(store, this, this.redraw, signal);
    this.charts = new Charts(signal);
    this.pane = new PaneView(store, () => this.openPane(null), signal);
    this.logsTab = new LogsTab(store, signal);
    const panels: Record<Tab, Panel> = {
      containers: new ContainersTab(store, this, this.redraw, signal),
      logs: this.logsTab,
      images: imagesTab(store, this, signal),
      volumes: volumesTab(store, this, signal),
      networks: networksTab(store, this, signal),
      events: eventsTab(store, signal),
      disk: new DiskTab(store, this, this.redraw, signal),
    };
    for (const [tab, title] of TABS) this.addTab(tab, title, panels[tab]);
    this.body.append(this.pane.element, this.confirm);
    this.root.append(this.head.element, this.charts.element, this.strip, this.notes, this.body);
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    signal.addEventListener("abort", () => this.root.remove());
    keepKeys(this.root, signal);
    this.listen();
    store.channel.view(this.redraw, signal);
    every(1000, this.redraw, signal);
    this.draw();
  }

  private addTab(tab: Tab, title: string, panel: Panel): void {
    const count = h("span", { class: "labd-number" });
    const button = h(
      "button",
      {
        type: "button",
        class: "labd-tab-button",
        role: "tab",
        id: `${this.own}-${tab}`,
        "aria-controls": `${this.own}-${tab}-panel`,
        "data-tab": tab,
      },
      h("span", { class: "labd-tab-title" }, title),
      count,
    );
    button.addEventListener("click", () => this.turnTo(tab), { signal: this.signal });
    const { element } = panel;
    element.id = `${this.own}-${tab}-panel`;
    setAttribute(element, "role", "tabpanel");
    setAttribute(element, "aria-labelledby", button.id);
    this.tabs.set(tab, { button, count, panel });
    this.strip.append(button);
    this.body.append(element);
  }

  private listen(): void {
    const { root, store, signal } = this;
    this.strip.addEventListener("keydown", (event) => this.pressedInTabs(event), { signal });
    this.confirm.addEventListener("keydown", (event) => this.pressedInQuestion(event), { signal });
    // its output is not drawn anew while somebody is at work in it
    let busy = false;
    const tell = (now: boolean) => {
      if (busy === now) return;
      busy = now;
      store.busy(now);
    };
    const look = () => tell(root.matches(":hover") || root.contains(document.activeElement));
    for (const name of ["pointerenter", "pointerleave", "focusin"]) root.addEventListener(name, look, { signal });
    root.addEventListener("focusout", () => setTimeout(look, 0), { signal });
    signal.addEventListener("abort", () => busy && store.busy(false));
    if (store.choices.height) this.body.style.height = `${store.choices.height}px`;
    const resized = new ResizeObserver(() => {
      if (this.body.style.height) store.choices.height = Number.parseFloat(this.body.style.height);
    });
    resized.observe(this.body);
    signal.addEventListener("abort", () => resized.disconnect());
  }

  private turnTo(tab: Tab): void {
    this.store.choices.tab = tab;
    this.store.choices.pane = null;
    this.draw();
  }

  private pressedInTabs(event: KeyboardEvent): void {
    const at = TABS.findIndex(([tab]) => tab === this.store.choices.tab);
    const steps: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 };
    const to = steps[event.key];
    if (to === undefined) return;
    const [tab] = TABS[(to + TABS.length) % TABS.length] as [Tab, string];
    this.turnTo(tab);
    this.tabs.get(tab)?.button.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  // --- what is to be done

  begin(verb: string, kind: string, id: string, name = ""): void {
    this.store.act(verb, kind, id, name);
    this.redraw();
  }

  acts(kind: string, id: string): boolean {
    return `${kind} ${id}` in this.store.acting;
  }

  remove(row: Row): void {
    const what = runs(row)
      ? `Stop and remove ${row.name}, its files and its log?`
      : `Remove ${row.name}, its files and its log?`;
    this.ask(what, "Remove", () => this.begin("remove", "container", row.id, row.name));
  }

  logs(row: Row): void {
    this.store.choices.tab = "logs";
    this.store.choices.pane = null;
    this.logsTab.only(row);
    this.draw();
  }

  terminal(row: Row): void {
    if (!this.store.terminals[row.id]) this.store.act("terminal", "container", row.id, row.name);
    this.openPane({ kind: "container", id: row.id, name: row.name, what: "terminal" });
  }

  inspect(kind: string, id: string, name: string): void {
    this.openPane({ kind, id, name, what: "inspect" });
  }

  private openPane(pane: DashStore["choices"]["pane"]): void {
    const { choices } = this.store;
    if (pane) this.back = document.activeElement as HTMLElement | null;
    choices.pane = pane;
    this.draw();
    if (!pane) this.goBack();
  }

  /** The keyboard goes to where it was before something was laid over. */
  private goBack(): void {
    if (this.back?.isConnected) this.back.focus();
    else this.root.focus();
    this.back = null;
  }

  ask(question: string, yes: string, work: () => void): void {
    this.back = document.activeElement as HTMLElement | null;
    const end = (sure: boolean) => {
      this.confirm.hidden = true;
      this.confirm.replaceChildren();
      this.goBack();
      if (sure) work();
    };
    const no = pressable("confirm-no", "close", "Keep", () => end(false), this.signal);
    const sure = pressable("confirm-yes", "remove", yes, () => end(true), this.signal);
    sure.classList.add("labc-danger");
    const box = h(
      "div",
      { class: "labd-question" },
      h("p", { id: `${this.own}-question` }, question),
      h("div", {}, no, sure),
    );
    setAttribute(this.confirm, "aria-labelledby", `${this.own}-question`);
    this.confirm.replaceChildren(box);
    this.confirm.hidden = false;
    no.focus();
  }

  private pressedInQuestion(event: KeyboardEvent): void {
    const buttons = [...this.confirm.querySelectorAll("button")];
    if (event.key === "Escape") buttons[0]?.click();
    else if (event.key === "Tab") buttons[document.activeElement === buttons[0] ? 1 : 0]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- what is shown

  private draw(): void {
    const { store } = this;
    const { choices } = store;
    if (!store.channel.known) return;
    const row = store.find(choices.selected);
    if (choices.selected && !row) choices.selected = "";
    this.head.show(row);
    this.charts.show(store.chosen(), store.time, choices.range, row ? runs(row) : true);
    this.showTabs();
    this.showNotes();
    this.pane.show();
  }

  private showTabs(): void {
    const { store } = this;
    const counts: Partial<Record<Tab, number | null>> = {
      containers: [...store.rows.values()].filter((row) => !row.gone).length,
      images: store.count("images"),
      volumes: store.count("volumes"),
    };
    for (const [tab, { button, count, panel }] of this.tabs) {
      const chosen = tab === store.choices.tab;
      setAttribute(button, "aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      setText(count, counts[tab] ? String(counts[tab]) : "");
      panel.element.hidden = !chosen;
      if (chosen) panel.show(true);
    }
  }

  private showNotes(): void {
    const { store } = this;
    const notes: [number, string, string, string][] = store.notes
      .filter(({ number }) => !store.choices.seen.has(number))
      .map(({ number, tone, about, text, hint }) => [number, tone, tone === "bad" ? `${about}: ${text}` : text, hint]);
    if (store.failure) notes.push([0, "bad", store.failure.message, store.failure.hint]);
    if (store.channel.silent)
      notes.push([0, "calm", "The kernel has not answered for a while: it is busy, or it has ended.", ""]);
    const key = JSON.stringify(notes);
    if (this.notes.dataset.key === key) return;
    this.notes.dataset.key = key;
    this.notes.replaceChildren(...notes.map((note) => this.note(...note)));
  }

  private note(number: number, tone: string, text: string, hint: string): HTMLElement {
    const box = h(
      "div",
      { class: "labc-note-box labd-note", "data-tone": tone },
      h("span", {}, text, hint ? h("span", { class: "labc-hint" }, hint) : null),
    );
    if (!number) return box;
    const shut = () => {
      this.store.choices.seen.add(number);
      this.redraw();
    };
    const button = h(
      "button",
      { type: "button", class: "labc-button labc-quiet labd-icon", "aria-label": "Dismiss", title: "Dismiss" },
      "×",
    );
    button.addEventListener("click", shut, { signal: this.signal });
    box.append(button);
    // what went well need not be read for long
    if (tone === "good") setTimeout(shut, 8000);
    return box;
  }
}
