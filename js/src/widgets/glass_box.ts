// The glass box: a walk through the making of a container, with its picture, the operation that was just done, and a list of all.

import { Channel, type Model } from "./channel.ts";
import { h, icon, keepKeys, perFrame, setAttribute, setText } from "./dom.ts";
import { GlassList } from "./glass_list.ts";
import type { Explained, GlassParts, GlassReplay, Sharing, StepState } from "./glass_messages.ts";
import { GlassPicture } from "./glass_picture.ts";
import { GlassSharing } from "./glass_sharing.ts";
import { GlassSteps } from "./glass_steps.ts";
import { doneOf, formatMicroseconds, Timeline } from "./glass_timeline.ts";
import type { First } from "./messages.ts";

const PLAY_EVERY_MS = 380;

/** What all views of a widget have in common: where the reader stands, and what he looks for. */
export class GlassStore {
  timeline = new Timeline([], []);
  explained: Explained | null = null;
  step: StepState | null = null;
  sharing: Sharing | null = null;
  /** Whether the namespaces are looked at, and not the walk. */
  shares = false;
  text = "";
  readonly stages = new Set<string>();
  readonly channel: Channel<GlassParts, GlassReplay>;

  constructor(model: Model, first: First<GlassReplay> | null) {
    this.channel = new Channel<GlassParts, GlassReplay>(model, this, first);
  }

  replay(data: GlassReplay): void {
    this.update(data);
  }

  update({ explained, step, sharing }: GlassParts): void {
    if (step !== undefined) this.step = step;
    if (sharing !== undefined) this.sharing = sharing;
    if (!explained) return;
    // who walks on his own stays where he is
    const { position, atEnd } = this.timeline;
    const walks = this.explained !== null && !this.step && !atEnd;
    this.explained = explained;
    const { operations, stages } = explained;
    const done = this.step && this.step.status !== "running" ? doneOf(operations) : operations.length;
    this.timeline = new Timeline(operations, stages, walks ? Math.min(position, operations.length) : done);
  }
}

export class GlassView {
  private readonly root = h("article", { class: "labc labg", "data-lm-suppress-shortcuts": "true" });
  private readonly name = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge" });
  private readonly about = h("div", { class: "labc-about" });
  private readonly play = h("button", { type: "button", class: "labc-button labg-play" });
  private readonly slider = h("input", {
    type: "range",
    class: "labg-slider",
    min: 0,
    step: 1,
    "aria-label": "Operation",
  });
  private readonly place = h("span", { class: "labc-muted labg-place" });
  private readonly now = h("div", { class: "labg-now", role: "status" });
  private readonly scripts = h("div", { class: "labg-scripts" });
  private readonly filters = new Map<string, HTMLButtonElement>();
  private readonly bar = h("div", { class: "labc-bar labg-filters", role: "group", "aria-label": "Only these stages" });
  private readonly search = h("input", {
    class: "labc-search-input labg-search",
    type: "search",
    placeholder: "operation",
    "aria-label": "Search operations",
  });
  private readonly picture: GlassPicture;
  private readonly list: GlassList;
  private readonly steps: GlassSteps;
  private readonly sharing: GlassSharing;
  private readonly walk = h("div", { class: "labg-walk" });
  private readonly views = h("div", { class: "labc-actions labg-views", role: "group", "aria-label": "What is shown" });
  private readonly draw: () => void;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly store: GlassStore,
    el: HTMLElement,
    private readonly signal: AbortSignal,
  ) {
    this.draw = perFrame(() => this.show(), signal);
    const titles = new Map(store.timeline.stages.map(({ name, title }) => [name, title]));
    const goTo = (position: number) => this.go(() => store.timeline.goTo(position));
    this.picture = new GlassPicture(goTo, titles, signal);
    this.list = new GlassList(goTo, signal);
    this.steps = new GlassSteps((action) => store.channel.act(action), signal);
    this.sharing = new GlassSharing(
      () => store.explained?.name ?? "",
      () => store.channel.act("sharing"),
      signal,
    );
    this.build();
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    signal.addEventListener("abort", () => {
      this.stop();
      this.root.remove();
    });
    keepKeys(this.root, signal);
    store.channel.view(this.draw, signal);
    this.show();
  }

  private build(): void {
    const { signal, store } = this;
    const button = (label: string, text: string, work: () => void) => {
      const made = h(
        "button",
        { type: "button", class: "labc-button labg-step", "aria-label": label, title: label },
        text,
      );
      made.addEventListener("click", work, { signal });
      return made;
    };
    this.play.addEventListener("click", () => this.toggle(), { signal });
    this.slider.addEventListener("input", () => this.go(() => store.timeline.goTo(Number(this.slider.value))), {
      signal,
    });
    const controls = h(
      "div",
      { class: "labg-controls", role: "group", "aria-label": "Walk through" },
      button("to the beginning (Home)", "|‹", () => this.go(() => store.timeline.goTo(0))),
      button("back by a stage (Page up)", "«", () => this.go(() => store.timeline.moveRun(-1))),
      button("back (←)", "‹", () => this.go(() => store.timeline.move(-1))),
      this.play,
      button("step (→)", "›", () => this.go(() => store.timeline.move(1))),
      button("on by a stage (Page down)", "»", () => this.go(() => store.timeline.moveRun(1))),
      button("to the end (End)", "›|", () => this.go(() => store.timeline.goTo(store.timeline.operations.length))),
      this.slider,
      this.place,
    );
    this.search.addEventListener(
      "input",
      () => {
        store.text = this.search.value;
        this.show();
      },
      { signal },
    );
    const titles = new Map(store.timeline.stages.map(({ name, title }) => [name, title]));
    for (const [name, title] of titles) {
      const filter = h(
        "button",
        { type: "button", class: "labg-filter", "data-stage": name, "aria-pressed": "false" },
        title,
      );
      filter.addEventListener("click", () => this.choose(name), { signal });
      this.filters.set(name, filter);
    }
    const box = h("label", { class: "labc-search" }, icon("search"), this.search);
    this.bar.append(...this.filters.values(), h("span", { class: "labc-spring" }), box);
    const head = h(
      "header",
      { class: "labc-head" },
      h("div", { class: "labc-head-text" }, h("div", { class: "labc-line" }, this.name, this.badge), this.about),
      this.views,
      this.steps.buttons,
    );
    for (const [text, shares] of [
      ["The making", false],
      ["Namespaces", true],
    ] as const) {
      const choice = h(
        "button",
        { type: "button", class: "labc-button labc-quiet", "data-shares": String(shares) },
        text,
      );
      choice.addEventListener("click", () => this.turn(shares), { signal });
      this.views.append(choice);
    }
    const left = h("div", { class: "labg-left" }, this.picture.element, this.now);
    this.walk.append(
      controls,
      h("div", { class: "labg-body" }, left, h("div", { class: "labg-right" }, this.list.element)),
      this.bar,
      this.steps.look,
      this.scripts,
    );
    this.root.append(head, this.steps.notes, this.walk, this.sharing.element);
    this.root.addEventListener("keydown", (event) => this.pressed(event), { signal });
  }

  // --- what is pressed

  private go(work: () => void): void {
    this.stop();
    work();
    this.show();
  }

  /** Show who shares which namespaces, or the walk. */
  private turn(shares: boolean): void {
    this.stop();
    this.store.shares = shares;
    this.show();
  }

  private choose(stage: string): void {
    const { stages } = this.store;
    if (!stages.delete(stage)) stages.add(stage);
    this.show();
  }

  private toggle(): void {
    if (this.timer !== undefined) {
      this.stop();
      this.show();
      return;
    }
    const { timeline } = this.store;
    if (timeline.atEnd) timeline.goTo(0);
    this.timer = setInterval(() => {
      this.store.timeline.move(1);
      if (this.store.timeline.atEnd) this.stop();
      this.show();
    }, PLAY_EVERY_MS);
    this.show();
  }

  private stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private pressed(event: KeyboardEvent): void {
    const { target } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || target === this.search || target === this.slider) return;
    if (target instanceof Element && target.closest("pre, summary, .labg-sharing, .labg-views")) return;
    const { timeline } = this.store;
    const works: Record<string, () => void> = {
      ArrowRight: () => timeline.move(1),
      ArrowDown: () => timeline.move(1),
      ArrowLeft: () => timeline.move(-1),
      ArrowUp: () => timeline.move(-1),
      PageDown: () => timeline.moveRun(1),
      PageUp: () => timeline.moveRun(-1),
      Home: () => timeline.goTo(0),
      End: () => timeline.goTo(timeline.operations.length),
    };
    const work = works[event.key];
    if (work) this.go(work);
    else if (event.key === " " && !(target instanceof HTMLButtonElement)) this.toggle();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- what is shown

  private show(): void {
    const { explained, step, timeline, sharing } = this.store;
    if (!explained) return;
    const shares = this.store.shares && sharing !== null;
    this.views.hidden = sharing === null;
    this.walk.hidden = shares;
    this.sharing.element.hidden = !shares;
    for (const choice of this.views.children)
      setAttribute(choice, "aria-pressed", String(choice.getAttribute("data-shares") === String(shares)));
    if (sharing && shares) this.sharing.show(sharing);
    const { operations } = timeline;
    setText(this.name, explained.name);
    setAttribute(this.root, "aria-label", `How ${explained.name} is made`);
    this.showBadge(explained, step);
    setText(this.about, explained.summary);
    this.steps.show(step);
    setText(this.play, this.timer === undefined ? "▶ play" : "❚❚ pause");
    setAttribute(this.slider, "max", operations.length);
    if (this.slider.value !== String(timeline.position)) this.slider.value = String(timeline.position);
    setAttribute(this.slider, "aria-valuetext", timeline.current?.name ?? "nothing done yet");
    setText(this.place, `${timeline.position} of ${operations.length}`);
    for (const [stage, button] of this.filters)
      setAttribute(button, "aria-pressed", String(this.store.stages.has(stage)));
    if (this.search.value !== this.store.text) this.search.value = this.store.text;
    this.picture.show(timeline);
    this.list.show(timeline, this.store.stages, this.store.text);
    this.showNow();
    this.showScripts(explained);
  }

  private showBadge({ planned, made }: Explained, step: StepState | null): void {
    const [text, tone] = step
      ? (
          {
            going: ["going on", "busy"],
            waiting: ["waits", "warn"],
            running: ["was made", "good"],
            aborted: ["aborted", "calm"],
            failed: ["failed", "bad"],
          } as const
        )[step.status]
      : planned
        ? ["only planned", "calm"]
        : made
          ? ["was made", "good"]
          : ["was not made", "bad"];
    setText(this.badge, text);
    setAttribute(this.badge, "data-tone", tone);
  }

  private showNow(): void {
    const { timeline } = this.store;
    const operation = timeline.current;
    const key = `${timeline.position} ${operation?.name} ${operation?.result} ${operation?.duration_us}`;
    if (this.now.dataset.key === key) return;
    this.now.dataset.key = key;
    if (!operation) {
      this.now.replaceChildren(
        h(
          "div",
          { class: "labc-muted" },
          "Nothing is made yet. Step with → or press play: each operation adds its part.",
        ),
      );
      return;
    }
    const stage = timeline.stages.find(({ name }) => name === operation.stage);
    const time = operation.duration_us === null ? "" : ` · ${formatMicroseconds(operation.duration_us)}`;
    const result = operation.failed ? h("div", { class: "labc-note-box", "data-tone": "bad" }, operation.result) : null;
    this.now.replaceChildren(
      h(
        "div",
        { class: "labg-now-head" },
        h(
          "span",
          { class: "labg-tag", "data-stage": operation.stage, title: stage?.note ?? "" },
          stage?.title ?? operation.stage,
        ),
        h("b", {}, operation.name),
        h("code", {}, operation.man_page),
        h(
          "span",
          { class: "labc-muted" },
          `by ${operation.by === "init" ? "init" : `the ${operation.by}`}${time}${operation.result === "planned" ? " · planned" : ""}`,
        ),
      ),
      h("div", { class: "labg-note" }, operation.note),
      ...(operation.text ? [h("code", { class: "labg-text" }, operation.text)] : []),
      ...(result ? [result] : []),
    );
  }

  private showScripts({ docker, shell }: Explained): void {
    const key = docker + shell;
    if (this.scripts.dataset.key === key) return;
    this.scripts.dataset.key = key;
    const both = [
      ["as a docker command", docker],
      ["by hand, as a shell script", shell],
    ] as const;
    this.scripts.replaceChildren(
      ...both
        .filter(([, text]) => text)
        .map(([title, text]) =>
          h(
            "details",
            { class: "labg-script" },
            h("summary", {}, h("span", { class: "labc-chevron", "aria-hidden": "true" }), title),
            h("pre", { class: "labc-source", tabindex: 0 }, text),
          ),
        ),
    );
  }
}
