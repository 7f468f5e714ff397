// The live view of a container's control groups: what is used of which limit, the pressure, and every file with its note.

import { h, icon, setAttribute, setText } from "./dom.ts";
import type { CgroupAbout, GaugeState, GroupFile, PressureState } from "./live_messages.ts";
import { LiveFrame, type LiveStore } from "./live_store.ts";

const KINDS = [
  ["limit", "Limits"],
  ["usage", "Usage"],
  ["events", "Events"],
  ["state", "State"],
] as const;
const WARM = 0.8;
const HOT = 0.95;

interface Line {
  element: HTMLElement;
  shown: string;
}

export class CgroupsView {
  private readonly search = h("input", {
    class: "labc-search-input",
    type: "search",
    placeholder: "file or note",
    "aria-label": "Search files",
  });
  private readonly gauges = h("div", { class: "labv-gauges" });
  private readonly pressure = h("div", { class: "labv-pressure" });
  private readonly files = h("div", { class: "labv-files", tabindex: 0, role: "region", "aria-label": "Files" });
  private readonly nothing = h("div", { class: "labv-nothing", hidden: true }, "nothing found");
  private readonly filters = new Map<string, HTMLButtonElement>();
  private readonly bar = h("div", { class: "labc-bar", role: "group", "aria-label": "Only these files" });
  private readonly frame: LiveFrame;
  private readonly kinds = new Set<string>();
  private readonly heads = new Map<string, HTMLElement>();
  private readonly lines = new Map<string, Line>();
  private order = "";

  constructor(
    private readonly store: LiveStore,
    el: HTMLElement,
    signal: AbortSignal,
  ) {
    this.frame = new LiveFrame(store, "labv-cgroup", "Control groups");
    for (const [kind, title] of KINDS) {
      const button = h("button", { type: "button", class: "labc-button labc-quiet", "aria-pressed": "false" }, title);
      button.addEventListener("click", () => this.choose(kind), { signal });
      this.filters.set(kind, button);
    }
    const box = h("label", { class: "labc-search" }, icon("search"), this.search);
    this.bar.append(...this.filters.values(), h("span", { class: "labc-spring" }), box);
    this.search.addEventListener("input", () => this.show(), { signal });
    this.frame.root.append(this.gauges, this.pressure, this.bar, this.files);
    this.frame.mount(el, () => this.show(), signal);
  }

  private choose(kind: string): void {
    if (!this.kinds.delete(kind)) this.kinds.add(kind);
    this.show();
  }

  private show(): void {
    const { store } = this;
    const about = store.part<CgroupAbout>("about");
    this.frame.show(about ? aboutText(about) : "", about?.reason ? [noteOf(about)] : []);
    setAttribute(this.frame.root, "data-version", about?.version ?? "");
    this.showGauges(store.part<GaugeState[]>("gauges") ?? []);
    this.showPressure(store.part<PressureState[]>("pressure") ?? [], about?.pressure_of ?? "");
    const order = store.part<string[]>("order") ?? [];
    const found = order.flatMap((name) => store.part<GroupFile>(`file ${name}`) ?? []);
    this.showFiles(found);
    const kinds = new Set(found.map(({ kind }) => kind));
    for (const [kind, button] of this.filters) {
      button.hidden = !kinds.has(kind) || kinds.size < 2;
      setAttribute(button, "aria-pressed", String(this.kinds.has(kind)));
    }
  }

  private showGauges(gauges: readonly GaugeState[]): void {
    while (this.gauges.children.length > gauges.length) this.gauges.lastElementChild?.remove();
    gauges.forEach((gauge, index) => {
      const place = this.gauges.children[index] ?? this.gauges.appendChild(gaugeElement());
      fillGauge(place as HTMLElement, gauge);
    });
  }

  private showPressure(pressure: readonly PressureState[], of: string): void {
    this.pressure.hidden = !pressure.length;
    const key = JSON.stringify([pressure, of]);
    if (this.pressure.dataset.key === key) return;
    this.pressure.dataset.key = key;
    const heads = ["", "10 s", "60 s", "5 min"].map((text) => h("th", { scope: "col" }, text));
    const table = h("table", { class: "labc-table" }, h("thead", {}, h("tr", {}, ...heads)));
    table.append(h("tbody", {}, ...pressure.map((one) => pressureRow(one))));
    const whose = of === "machine" ? "Pressure of the whole machine" : "Pressure";
    const note = "How much of the time processes waited: some of them, and behind it all at once. accounting/psi.rst";
    this.pressure.replaceChildren(
      h(
        "div",
        { class: "labv-pressure-text" },
        h("div", { class: "labc-title" }, whose),
        h("div", { class: "labc-muted" }, note),
      ),
      table,
    );
  }

  private showFiles(found: readonly GroupFile[]): void {
    const order = found.map(({ name }) => name).join();
    if (order !== this.order) this.build(found);
    this.order = order;
    const wanted = this.search.value.trim().toLowerCase();
    const seen = new Set<string>();
    for (const file of found) {
      const line = this.lines.get(file.name);
      if (!line) continue;
      const words = [file.name, file.note, file.source, file.controller].join(" ").toLowerCase();
      const wants = (!this.kinds.size || this.kinds.has(file.kind)) && words.includes(wanted);
      line.element.hidden = !wants;
      if (wants) seen.add(file.controller);
      fillFile(line, file);
    }
    for (const [controller, head] of this.heads) head.hidden = !seen.has(controller);
    this.nothing.hidden = seen.size > 0;
  }

  private build(found: readonly GroupFile[]): void {
    this.lines.clear();
    this.heads.clear();
    const elements: HTMLElement[] = [];
    const controllers = [...new Set(found.map(({ controller }) => controller))];
    for (const controller of controllers) {
      const head = h("div", { class: "labv-controller" }, controller);
      this.heads.set(controller, head);
      elements.push(head);
      for (const file of found.filter((one) => one.controller === controller)) {
        const element = h("div", { class: "labv-file", "data-kind": file.kind });
        this.lines.set(file.name, { element, shown: "" });
        elements.push(element);
      }
    }
    this.files.replaceChildren(...elements, this.nothing);
  }
}

function aboutText({ version, directories }: CgroupAbout): string {
  if (version === "none") return "no control group: the limits of each of its processes (setrlimit) hold instead";
  const which = version === "v1" ? "version 1" : version === "v2" ? "version 2" : "versions 1 and 2 side by side";
  return `${which}, in ${directories.length} ${directories.length === 1 ? "directory" : "directories"}`;
}

function noteOf({ reason, version }: CgroupAbout): string {
  const text = `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
  return version === "none" ? `${text} What is used is summed up from /proc.` : text;
}

function gaugeElement(): HTMLElement {
  const bar = h(
    "div",
    { class: "labv-bar", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 },
    h("div", { class: "labv-bar-filled" }),
  );
  return h(
    "div",
    { class: "labv-gauge" },
    h("div", { class: "labc-title" }),
    bar,
    h("div", { class: "labv-gauge-text" }),
  );
}

function fillGauge(place: HTMLElement, { name, share, own, text }: GaugeState): void {
  const [title, bar, words] = [...place.children] as [HTMLElement, HTMLElement, HTMLElement];
  setText(title, name);
  setText(words, text);
  const percent = Math.round(100 * (share ?? 0));
  setAttribute(bar, "aria-label", name);
  setAttribute(bar, "aria-valuenow", percent);
  setAttribute(bar, "aria-valuetext", text);
  setAttribute(bar, "data-limit", share === null ? "none" : own ? "own" : "machine");
  setAttribute(bar, "data-heat", !own || share === null || share < WARM ? "cool" : share < HOT ? "warm" : "hot");
  (bar.firstElementChild as HTMLElement).style.width = `${share ? Math.max(0.6, 100 * share) : 0}%`;
}

function pressureRow({ resource, some, full, note }: PressureState): HTMLElement {
  const cells = some.map((value, index) => {
    const all = full ? h("span", { class: "labc-muted" }, ` / ${percentText(full[index] ?? 0)}`) : null;
    return h("td", {}, percentText(value), all);
  });
  return h("tr", { title: note }, h("th", { scope: "row" }, resource), ...cells);
}

function percentText(value: number): string {
  return `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)} %`;
}

function fillFile(line: Line, file: GroupFile): void {
  const { name, path, value, plain, note, source } = file;
  const shown = `${value}\n${plain}`;
  if (line.shown === shown) return;
  line.shown = shown;
  const rows = value.split("\n");
  const many = rows.length > 1;
  if (line.element.childElementCount === 0) {
    line.element.append(
      h("code", { class: "labv-file-name", title: path || null }, name),
      many
        ? h("details", { class: "labv-file-value" }, h("summary"), h("pre", { tabindex: 0 }))
        : h("code", { class: "labv-file-value" }),
      h("div", { class: "labv-file-note" }, note, " ", h("span", { class: "labv-source" }, source)),
    );
  }
  const place = line.element.children[1] as HTMLElement;
  if (place instanceof HTMLDetailsElement) {
    setText(place.children[0] as Element, `${rows[0]} … ${rows.length} lines`);
    setText(place.children[1] as Element, value);
  } else {
    setText(place, plain || rows.join(" · "));
    setAttribute(place, "title", plain && plain !== value ? value : null);
  }
}
