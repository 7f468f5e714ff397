// What a page knows of a view of a running container: parts by name, and whether the container is still there.

import { Channel, type Model } from "./channel.ts";
import { every, h, keepKeys, perFrame, setAttribute, setText } from "./dom.ts";
import type { ViewParts, ViewReplay, ViewState } from "./live_messages.ts";
import type { First } from "./messages.ts";
import { failureNote } from "./progress_frame.ts";

export class LiveStore {
  name = "";
  state: ViewState = { status: "live", failure: null };
  readonly parts = new Map<string, unknown>();
  readonly channel: Channel<ViewParts, ViewReplay>;

  constructor(model: Model, first: First<ViewReplay> | null) {
    this.channel = new Channel<ViewParts, ViewReplay>(model, this, first);
  }

  replay(data: ViewReplay): void {
    this.name = data.name;
    this.parts.clear();
    this.update(data);
  }

  update({ state, parts }: ViewParts): void {
    if (state) this.state = state;
    for (const name of parts?.gone ?? []) this.parts.delete(name);
    for (const [name, part] of Object.entries(parts?.changed ?? {})) this.parts.set(name, part);
  }

  part<T>(name: string): T | undefined {
    return this.parts.get(name) as T | undefined;
  }
}

const BADGES = {
  live: { text: "live", tone: "good" },
  ended: { text: "ended", tone: "calm" },
  removed: { text: "removed", tone: "calm" },
} as const;

const NOTES = {
  live: "",
  ended: "The container does not run any more: this is what was seen last.",
  removed: "The container is gone: this is what was seen last.",
} as const;

/** The frame of such a view: its head, and what is to be said of its state. */
export class LiveFrame {
  readonly root: HTMLElement;
  readonly about = h("div", { class: "labc-about labv-about" });
  private readonly name = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge", role: "status" });
  private readonly notes = h("div", { class: "labc-notes", "aria-live": "polite" });
  private shown = "";

  constructor(
    private readonly store: LiveStore,
    kind: string,
    private readonly title: string,
    ...tools: HTMLElement[]
  ) {
    const head = h(
      "header",
      { class: "labc-head" },
      h(
        "div",
        { class: "labc-head-text" },
        h("div", { class: "labc-line" }, this.name, h("span", { class: "labc-muted" }, title), this.badge),
        this.about,
      ),
      ...tools,
    );
    this.root = h("article", { class: `labc labv ${kind}`, "data-lm-suppress-shortcuts": "true" }, head, this.notes);
  }

  /** Show it in `el`, and call `draw` now and when something came. */
  mount(el: HTMLElement, draw: () => void, signal: AbortSignal): void {
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    signal.addEventListener("abort", () => this.root.remove());
    keepKeys(this.root, signal);
    const soon = perFrame(draw, signal);
    this.store.channel.view(soon, signal);
    every(5000, soon, signal);
    draw();
  }

  show(about: string, notes: readonly string[]): void {
    const { name, state, channel } = this.store;
    setText(this.name, name);
    setText(this.about, about);
    setAttribute(this.root, "aria-label", `${this.title} of container ${name}`);
    setAttribute(this.root, "data-status", state.status);
    const { text, tone } = channel.known ? BADGES[state.status] : { text: "loading …", tone: "busy" };
    setText(this.badge, text);
    setAttribute(this.badge, "data-tone", tone);
    const silent = channel.silent && state.status !== "removed";
    const told = [
      NOTES[state.status],
      silent ? "The kernel has not answered for a while: it is busy, or it has ended." : "",
      ...notes,
    ];
    const key = JSON.stringify([told, state.failure]);
    if (key === this.shown) return;
    this.shown = key;
    const boxes = told.filter(Boolean).map((line) => h("div", { class: "labc-note-box", "data-tone": "calm" }, line));
    this.notes.replaceChildren(...(state.failure ? [failureNote(state.failure)] : []), ...boxes);
  }
}
