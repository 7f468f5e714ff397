// The container card: what it is, how it is, what it uses, what it says, and what can be done with it.

import { CardTerminal } from "./card_terminal.ts";
import { Channel, type Model } from "./channel.ts";
import { CheckpointLine } from "./checkpoints.ts";
import { every, h, icon, keepKeys, perFrame, setAttribute, setText } from "./dom.ts";
import { formatBytes, formatPercent, formatUptime } from "./format.ts";
import { LogLines } from "./log_lines.ts";
import { type LogChoices, LogView } from "./log_view.ts";
import type { CardParts, CardReplay, ContainerState, Facts, Failure, First, PortLink, Sample } from "./messages.ts";
import { Meter, SAMPLES_KEPT } from "./meter.ts";
import { niceCeiling, niceMemoryCeiling } from "./sparkline.ts";

/** What the page knows of one container; any number of views show it. */
export class CardStore {
  facts: Facts | null = null;
  state: ContainerState | null = null;
  samples: Sample[] = [];
  acting = "";
  /** The widget of the terminal that was opened from the card. */
  terminal = "";
  failure: Failure | null = null;
  /** The button that has the keyboard, and until when a new view may give it back. */
  focused = { action: "", until: 0 };
  readonly log = new LogLines();
  readonly choices: LogChoices = { follow: true, times: false, query: "", current: null, scrollTop: 0 };
  readonly channel: Channel<CardParts, CardReplay>;

  constructor(
    readonly model: Model,
    first: First<CardReplay> | null,
  ) {
    this.channel = new Channel<CardParts, CardReplay>(model, this, first);
  }

  replay({ facts, log, samples, ...rest }: CardReplay): void {
    this.facts = facts;
    this.log.replace(log);
    if (this.choices.query) this.log.search(this.choices.query);
    this.samples = samples.slice(-SAMPLES_KEPT);
    this.update(rest);
  }

  update({ state, samples, log, acting, failure, terminal }: CardParts): void {
    if (state) this.state = state;
    if (samples) this.samples = [...this.samples, ...samples].slice(-SAMPLES_KEPT);
    if (log) this.log.append(log);
    if (acting !== undefined) this.acting = acting;
    if (failure !== undefined) this.failure = failure;
    if (terminal !== undefined) this.terminal = terminal;
  }

  mount(el: HTMLElement, signal: AbortSignal): void {
    new CardView(this, el, signal);
  }
}

/** Where a link to a published port leads, seen from a page at `location`; "" when nowhere. */
export function portHref(port: PortLink, location: { protocol: string; hostname: string; origin: string }): string {
  if (port.path) return location.protocol.startsWith("http") ? location.origin + port.path : "";
  if (!port.host) return "";
  const everywhere = port.host === "0.0.0.0" || port.host === "::";
  const host = everywhere ? (location.protocol.startsWith("http") && location.hostname) || "localhost" : port.host;
  return `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port.port}/`;
}

/** What the badge says, and in which tone. */
export function badge(state: ContainerState): { text: string; tone: string } {
  if (state.status === "running") return { text: "running", tone: "good" };
  if (state.status === "paused" || state.status === "restarting") return { text: state.status, tone: "warn" };
  if (state.status === "exited") {
    if (state.oom_killed) return { text: `out of memory (${state.exit_code})`, tone: "bad" };
    return { text: `exited (${state.exit_code})`, tone: state.exit_code === 0 ? "calm" : "bad" };
  }
  return { text: state.status, tone: state.status === "dead" ? "bad" : "calm" };
}

/** What holds the container on this machine; one that lacks something is marked. */
function levelBadge(level: string, means: string): HTMLElement {
  return h("span", { class: "labc-level", "data-tone": level.includes(",") ? "warn" : "calm", title: means }, level);
}

const ACTING: Record<string, string> = {
  stop: "stopping …",
  restart: "starting …",
  remove: "removing …",
  rollback: "rolling back …",
  terminal: "opening …",
};

class CardView {
  private readonly root = h("article", { class: "labc labc-card", "data-lm-suppress-shortcuts": "true", tabindex: -1 });
  private readonly name = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge", role: "status" });
  private readonly uptime = h("span", { class: "labc-muted labc-uptime" });
  private readonly about = h("div", { class: "labc-about" });
  private readonly ports = h("div", { class: "labc-ports" });
  private readonly points: CheckpointLine;
  private readonly notes = h("div", { class: "labc-notes", "aria-live": "polite" });
  private readonly confirm: HTMLElement;
  private readonly buttons: { stop: HTMLButtonElement; restart: HTMLButtonElement; remove: HTMLButtonElement };
  private readonly cpu: Meter;
  private readonly memory: Meter;
  private readonly figures = h("div", { class: "labc-figures" });
  private readonly logs: LogView;
  private readonly terminal: CardTerminal;
  private factsShown: Facts | null = null;

  constructor(
    private readonly store: CardStore,
    el: HTMLElement,
    private readonly signal: AbortSignal,
  ) {
    this.cpu = new Meter("CPU", "labc-cpu", (sample) => sample.cpu_percent, formatPercent, signal);
    this.memory = new Meter("Memory", "labc-memory", (sample) => sample.memory_bytes, formatBytes, signal);
    this.logs = new LogView(store.log, store.choices, signal);
    this.points = new CheckpointLine((number) => this.act(`rollback ${number}`), signal);
    this.buttons = {
      stop: this.button("stop", "Stop", () => this.act("stop")),
      restart: this.button("restart", "Restart", () => this.act("restart")),
      remove: this.button("remove", "Remove", () => this.ask(true)),
    };
    this.terminal = new CardTerminal(store.model, () => this.act("terminal"), signal);
    this.confirm = this.makeConfirm();
    this.assemble(el);
    const draw = perFrame(() => this.draw(), signal);
    store.channel.view(draw, signal);
    every(1000, draw, signal);
    this.draw();
  }

  private assemble(el: HTMLElement): void {
    const { stop, restart, remove } = this.buttons;
    const actions = h(
      "div",
      { class: "labc-actions", role: "group", "aria-label": "Actions" },
      this.terminal.button,
      stop,
      restart,
      remove,
    );
    this.root.append(
      h(
        "header",
        { class: "labc-head" },
        h(
          "div",
          { class: "labc-head-text" },
          h("div", { class: "labc-line" }, this.name, this.badge, this.uptime),
          this.about,
          this.ports,
          this.points.element,
        ),
        h("div", { class: "labc-head-actions" }, actions, this.confirm),
      ),
      this.notes,
      h("div", { class: "labc-meters" }, this.cpu.element, this.memory.element),
      this.figures,
      this.logs.element,
      this.terminal.element,
    );
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    this.signal.addEventListener("abort", () => this.root.remove());
    keepKeys(this.root, this.signal);
    this.keepFocus();
  }

  /** The output of the cell is drawn anew when the container ends: who was at a button then is there again. */
  private keepFocus(): void {
    const { store, root, signal } = this;
    root.addEventListener("focusin", () => {
      const action = (document.activeElement as HTMLElement | null)?.dataset.action ?? "";
      store.focused = { action, until: Number.POSITIVE_INFINITY };
    });
    root.addEventListener("focusout", () => {
      store.focused = { ...store.focused, until: Date.now() + 500 };
    });
    const { action, until } = store.focused;
    if (!action || Date.now() > until) return;
    requestAnimationFrame(() => {
      const button = root.querySelector<HTMLElement>(`[data-action=${action}]`);
      const target = button?.matches(":disabled, .labc-asking *") ? root : button;
      if (!signal.aborted && (document.activeElement === document.body || !document.activeElement)) target?.focus();
    });
  }

  private button(name: string, text: string, work: () => void): HTMLButtonElement {
    const button = h(
      "button",
      { type: "button", class: "labc-button", "data-action": name },
      icon(name),
      h("span", {}, text),
    );
    button.addEventListener("click", work, { signal: this.signal });
    return button;
  }

  private makeConfirm(): HTMLElement {
    const yes = h(
      "button",
      { type: "button", class: "labc-button labc-danger", "data-action": "remove-yes" },
      icon("remove"),
      "Remove",
    );
    const no = h("button", { type: "button", class: "labc-button", "data-action": "remove-no" }, "Keep");
    yes.addEventListener(
      "click",
      () => {
        this.ask(false);
        this.act("remove");
      },
      { signal: this.signal },
    );
    no.addEventListener("click", () => this.ask(false), { signal: this.signal });
    const box = h(
      "div",
      { class: "labc-confirm", role: "alertdialog", "aria-label": "Remove this container?", hidden: true },
      h("span", {}, "Remove it, its files and its log?"),
      yes,
      no,
    );
    box.addEventListener("keydown", (event) => event.key === "Escape" && this.ask(false), { signal: this.signal });
    return box;
  }

  private ask(open: boolean): void {
    this.confirm.hidden = !open;
    this.root.classList.toggle("labc-asking", open);
    (open ? this.confirm.querySelector<HTMLElement>("[data-action=remove-no]") : this.buttons.remove)?.focus();
  }

  private act(action: string): void {
    this.store.acting = action;
    this.store.failure = null;
    this.store.channel.act(action);
    this.draw();
  }

  private draw(): void {
    const { facts, state, samples, channel } = this.store;
    if (!facts || !state) return;
    if (facts !== this.factsShown) this.showFacts(facts);
    this.showState(state, channel.now());
    this.showNotes(state);
    const running = state.status === "running" || state.status === "paused";
    const busiest = highest(samples, (sample) => sample.cpu_percent);
    this.cpu.show(samples, niceCeiling(busiest, 10), null, running);
    const used = highest(samples, (sample) => sample.memory_bytes);
    const limit = samples.at(-1)?.memory_limit_bytes ?? null;
    const top = limit !== null && used > limit / 4 ? limit : niceMemoryCeiling(used);
    this.memory.show(samples, top, limit, running);
    this.showFigures(running ? (samples.at(-1) ?? null) : null);
    this.logs.refresh();
  }

  private showFacts(facts: Facts): void {
    this.factsShown = facts;
    setText(this.name, facts.name);
    setAttribute(this.root, "aria-label", `Container ${facts.name}`);
    this.about.replaceChildren(
      h("span", { class: "labc-image", title: "image" }, facts.image),
      h("code", { class: "labc-id", title: facts.id }, facts.id.slice(0, 12)),
      ...(facts.level ? [levelBadge(facts.level, facts.level_means ?? "")] : []),
      h("code", { class: "labc-command", title: facts.command }, facts.command),
    );
    this.ports.replaceChildren(
      ...facts.ports.map((port) => {
        const href = portHref(port, window.location);
        if (!href) return h("span", { class: "labc-port" }, port.text);
        return h(
          "a",
          { class: "labc-port", href, target: "_blank", rel: "noopener noreferrer", title: href },
          port.text,
          icon("open"),
        );
      }),
    );
    this.ports.hidden = facts.ports.length === 0;
  }

  private showState(state: ContainerState, now: number): void {
    const { acting } = this.store;
    const { text, tone } = acting
      ? { text: ACTING[acting.split(" ", 1)[0] ?? ""] ?? acting, tone: "busy" }
      : badge(state);
    setText(this.badge, text);
    setAttribute(this.badge, "data-tone", tone);
    setAttribute(this.root, "data-status", state.status);
    const running = state.status === "running" || state.status === "paused";
    const since = running ? state.started_at : state.finished_at;
    setText(
      this.uptime,
      since === null ? "" : running ? `up ${formatUptime(now - since)}` : `${formatUptime(now - since)} ago`,
    );
    const removed = state.status === "removed";
    const { stop, restart, remove } = this.buttons;
    stop.disabled = !running || acting !== "";
    restart.disabled = removed || acting !== "";
    remove.disabled = removed || acting !== "";
    this.terminal.show(this.store.terminal, state.status === "running" && acting === "");
    this.points.show(removed ? [] : (state.checkpoints ?? []), !running && acting === "", now);
    const word = running ? "Restart" : "Start";
    if (restart.textContent !== word) restart.replaceChildren(icon(running ? "restart" : "start"), h("span", {}, word));
    if (removed) this.root.classList.remove("labc-asking");
    if (removed) this.confirm.hidden = true;
  }

  private showNotes(state: ContainerState): void {
    const { failure, channel } = this.store;
    const notes: [string, string, string][] = state.warnings.map((text) => ["warn", text, ""]);
    if (state.error) notes.push(["bad", state.error, ""]);
    if (failure) notes.push(["bad", failure.message, failure.hint]);
    if (channel.silent)
      notes.push(["calm", "The kernel has not answered for a while: it is busy, or it has ended.", ""]);
    const key = JSON.stringify(notes);
    if (this.notes.dataset.key === key) return;
    this.notes.dataset.key = key;
    this.notes.replaceChildren(
      ...notes.map(([tone, text, hint]) =>
        h(
          "div",
          { class: "labc-note-box", "data-tone": tone },
          text,
          hint ? h("span", { class: "labc-hint" }, hint) : null,
        ),
      ),
    );
  }

  private showFigures(sample: Sample | null): void {
    const rate = (value: number | null) => (value === null ? null : `${formatBytes(value)}/s`);
    const all: [string, string, string | null][] = sample
      ? [
          ["Processes", "", sample.pids === null ? null : String(sample.pids)],
          ["Network", "received and sent", pair("↓", rate(sample.network_rx), "↑", rate(sample.network_tx))],
          ["Disk", "read and written", pair("R", rate(sample.block_read), "W", rate(sample.block_write))],
        ]
      : [];
    const shown = all.filter(([, , value]) => value !== null);
    this.figures.hidden = shown.length === 0;
    const key = JSON.stringify(shown);
    if (this.figures.dataset.key === key) return;
    this.figures.dataset.key = key;
    this.figures.replaceChildren(
      ...shown.map(([name, title, value]) =>
        h("span", { title: title || null }, name, h("b", { class: "labc-figure" }, value)),
      ),
    );
  }
}

function pair(one: string, first: string | null, two: string, second: string | null): string | null {
  return first === null && second === null ? null : `${one} ${first ?? "–"}  ${two} ${second ?? "–"}`;
}

function highest(samples: readonly Sample[], value: (sample: Sample) => number): number {
  return samples.reduce((top, sample) => Math.max(top, value(sample)), 0);
}
