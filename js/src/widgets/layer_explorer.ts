// The layer explorer: the layers of an image, the files of the chosen one, what is wasted, and a comparison with another image.

import { h, icon, keepKeys, perFrame, setAttribute, setText } from "./dom.ts";
import { FileTree, foundLines, TreeState, treeLines } from "./file_tree.ts";
import { formatCount, formatSize } from "./format.ts";
import type { ComparedImages, ExploredImage, Question } from "./layer_messages.ts";
import { instructionOf, LayerStack, type Source } from "./layer_stack.ts";
import type { LayerChoices, LayerStore } from "./layer_store.ts";

const SEARCH_AFTER_MS = 250;
const CHANGES = [
  ["added", "A", "added"],
  ["modified", "C", "changed"],
  ["removed", "D", "removed"],
] as const;

/** What a reader sees first: the top layer. */
function firstChoice(image: ExploredImage): Source {
  return `layer ${image.layers.at(-1)?.index ?? 0}`;
}

export class LayerView {
  private readonly root = h("article", { class: "labc labx", "data-lm-suppress-shortcuts": "true" });
  private readonly name = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge" });
  private readonly about = h("div", { class: "labc-about" });
  private readonly other = h("select", { class: "labx-select" });
  private readonly notes = h("div", { class: "labc-notes", role: "status" });
  private readonly heading = h("div", { class: "labx-heading" });
  private readonly config = h("div", { class: "labx-config" });
  private readonly search = h("input", {
    class: "labc-search-input labx-search",
    type: "search",
    placeholder: "name or pattern",
    "aria-label": "Search files",
  });
  private readonly filters = new Map<string, HTMLButtonElement>();
  private readonly waste = h("details", { class: "labx-waste" });
  private readonly stack: LayerStack;
  private readonly tree: FileTree;
  private readonly choices: LayerChoices;
  private readonly draw: () => void;

  constructor(
    private readonly store: LayerStore,
    el: HTMLElement,
    private readonly signal: AbortSignal,
  ) {
    this.choices = store.choices;
    this.draw = perFrame(() => this.show(), signal);
    this.stack = new LayerStack((source) => this.choose(source), signal);
    this.tree = new FileTree(store, () => this.show(), signal);
    this.build();
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    signal.addEventListener("abort", () => this.root.remove());
    keepKeys(this.root, signal);
    store.channel.view(this.draw, signal);
    this.show();
  }

  private build(): void {
    const { signal } = this;
    for (const [change, letter, word] of CHANGES) {
      const button = h(
        "button",
        {
          type: "button",
          class: "labx-filter",
          "data-change": change,
          "aria-pressed": "false",
          title: `only ${word} files`,
        },
        h("b", {}, letter),
        ` ${word}`,
      );
      button.addEventListener("click", () => this.toggle(change), { signal });
      this.filters.set(change, button);
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const searchNow = () => {
      clearTimeout(timer);
      this.choices.text = this.search.value.trim();
      this.show();
    };
    this.search.value = this.choices.text;
    this.search.addEventListener(
      "input",
      () => {
        clearTimeout(timer);
        timer = setTimeout(searchNow, SEARCH_AFTER_MS);
      },
      { signal },
    );
    this.search.addEventListener("keydown", (event) => event.key === "Enter" && searchNow(), { signal });
    signal.addEventListener("abort", () => clearTimeout(timer));
    this.other.addEventListener("change", () => this.compare(this.other.value), { signal });
    const head = h(
      "header",
      { class: "labc-head" },
      h("div", { class: "labc-head-text" }, h("div", { class: "labc-line" }, this.name, this.badge), this.about),
      h("label", { class: "labx-compare" }, h("span", { class: "labc-muted" }, "compare with"), this.other),
    );
    const box = h("label", { class: "labc-search" }, icon("search"), this.search);
    const bar = h(
      "div",
      { class: "labc-bar labx-bar-line" },
      ...this.filters.values(),
      h("span", { class: "labc-spring" }),
      box,
    );
    const files = h("section", { class: "labx-files" }, this.heading, this.config, bar, this.tree.element);
    const body = h("div", { class: "labx-body" }, this.stack.list, files);
    this.root.append(head, this.stack.strip, this.notes, body, this.waste);
  }

  // --- what is pressed

  private choose(source: Source): void {
    this.choices.chosen = source;
    this.show();
  }

  private toggle(change: string): void {
    const { changes } = this.choices;
    if (!changes.delete(change)) changes.add(change);
    this.show();
  }

  private compare(other: string): void {
    const { choices, store } = this;
    const { comparison, image } = store;
    choices.wanted = other;
    choices.asking = { ask: "compare", other };
    store.forget(choices.asking);
    if (!other && choices.chosen.startsWith("diff ") && image) choices.chosen = firstChoice(image);
    choices.failure = null;
    if (comparison?.other === other) {
      choices.chosen = `diff ${other}`;
      choices.wanted = "";
      choices.asking = null;
    } else store.ask(choices.asking);
    this.show();
  }

  // --- what is shown

  private show(): void {
    const { choices } = this;
    const { image, comparison, changes } = this.store;
    if (!image) return;
    if (comparison && comparison.other === choices.wanted) {
      choices.chosen = `diff ${comparison.other}`;
      choices.wanted = "";
    }
    if (!choices.chosen || (choices.chosen.startsWith("diff ") && choices.chosen !== `diff ${comparison?.other}`))
      choices.chosen = firstChoice(image);
    this.showHead(image, comparison);
    this.showNotes();
    this.stack.show({ image, changes, comparison, chosen: choices.chosen });
    this.showHeading(image, comparison);
    this.showFiles();
    this.showWaste();
  }

  private showHead(image: ExploredImage, comparison: ComparedImages | null): void {
    setText(this.name, image.name);
    setAttribute(this.root, "aria-label", `Layers of ${image.name}`);
    const id = image.id.replace(/^sha256:/, "").slice(0, 12);
    const count = image.layers.length;
    setText(this.about, `${id} · ${count} ${count === 1 ? "layer" : "layers"} · ${formatSize(image.size_bytes)}`);
    const { wasted } = this.store;
    this.badge.hidden = !wasted;
    if (wasted) {
      const part = wasted.total_bytes ? 1 - wasted.size_bytes / wasted.total_bytes : 1;
      // never rounded up to all of it
      setText(this.badge, `${Math.floor(part * 1000) / 10} % efficient`);
      setAttribute(this.badge, "data-tone", part >= 0.95 ? "good" : part >= 0.8 ? "warn" : "bad");
      setAttribute(this.badge, "title", "the part of all layers' files that is seen in the image");
    }
    const options = ["", ...image.others];
    if (this.other.options.length !== options.length)
      this.other.replaceChildren(
        ...options.map((name) => h("option", { value: name }, name || (image.others.length ? "—" : "no other image"))),
      );
    this.other.disabled = !image.others.length;
    const { asking } = this.choices;
    const wanted = asking?.ask === "compare" && this.store.waits(asking) ? asking.other : (comparison?.other ?? "");
    if (this.other.value !== wanted) this.other.value = wanted;
  }

  private showNotes(): void {
    const { choices, store } = this;
    const waiting = choices.asking !== null && store.waits(choices.asking);
    if (choices.asking && !waiting) {
      choices.failure = store.ask(choices.asking)?.failure ?? null;
      choices.asking = null;
    }
    const failure = choices.failure ?? store.failure;
    const text = failure ? failure.message : waiting && this.other.value ? `comparing with ${this.other.value} …` : "";
    if (this.notes.dataset.text === text) return;
    this.notes.dataset.text = text;
    const hint = failure?.hint ? h("span", { class: "labc-hint" }, failure.hint) : null;
    const note = h("div", { class: "labc-note-box", "data-tone": failure ? "bad" : "busy" }, text, hint);
    this.notes.replaceChildren(...(text ? [note] : []));
  }

  private showHeading(image: ExploredImage, comparison: ComparedImages | null): void {
    const { chosen } = this.choices;
    const compared = chosen.startsWith("diff ") ? comparison : null;
    const layer = image.layers.find(({ index }) => `layer ${index}` === chosen);
    const key = JSON.stringify([chosen, compared]);
    if (this.heading.dataset.key === key) return;
    this.heading.dataset.key = key;
    this.config.replaceChildren();
    if (compared) {
      const { shared_layers: shared, other_layers: others } = compared;
      const told = `${shared} of ${image.layers.length} and ${others} layers shared`;
      this.heading.replaceChildren(
        h("b", {}, `${image.name} → ${compared.other}`),
        h("span", { class: "labc-muted" }, told),
      );
      this.showConfig(compared);
    } else if (layer) {
      const digest = layer.diff_id.replace(/^sha256:/, "").slice(0, 12);
      this.heading.replaceChildren(
        h("b", {}, `Layer ${layer.index}`),
        h("span", { class: "labc-muted", title: layer.diff_id }, `${digest} · ${formatSize(layer.size_bytes)}`),
        h("code", { class: "labx-instruction", tabindex: 0 }, ...instructionOf(layer.created_by)),
      );
    }
  }

  private showConfig({ config }: ComparedImages): void {
    if (!config.length) {
      this.config.append(h("div", { class: "labc-muted" }, "their configs are equal"));
      return;
    }
    const table = h("table", { class: "labc-table" });
    for (const [field, before, after] of config)
      table.append(
        h(
          "tr",
          {},
          h("th", { scope: "row" }, field),
          h(
            "td",
            {},
            before ? h("code", { "data-change": "removed" }, before) : h("span", { class: "labc-muted" }, "none"),
          ),
          h(
            "td",
            {},
            h("span", { class: "labc-muted" }, "→ "),
            after ? h("code", { "data-change": "added" }, after) : h("span", { class: "labc-muted" }, "none"),
          ),
        ),
      );
    this.config.append(table);
  }

  private showFiles(): void {
    const { store } = this;
    const { text, chosen, trees } = this.choices;
    const changes = CHANGES.map(([change]) => change).filter((change) => this.choices.changes.has(change));
    for (const [change, button] of this.filters)
      setAttribute(button, "aria-pressed", String(this.choices.changes.has(change)));
    const state = trees.get(chosen) ?? new TreeState();
    trees.set(chosen, state);
    if (text || changes.length) {
      const question: Question = { ask: "search", source: chosen, text, changes };
      this.tree.show(foundLines(store.ask(question), question), state);
    } else
      this.tree.show(
        treeLines((question) => store.ask(question), chosen, state),
        state,
      );
  }

  private showWaste(): void {
    const { wasted } = this.store;
    this.waste.hidden = !wasted;
    if (!wasted || this.waste.childElementCount) return;
    if (!wasted.count) {
      this.waste.append(h("summary", { class: "labx-nothing" }, "Nothing is wasted"));
      return;
    }
    const files = `${formatCount(wasted.count)} ${wasted.count === 1 ? "file" : "files"}`;
    const table = h("table", { class: "labc-table" });
    for (const [path, bytes, told] of wasted.files)
      table.append(
        h(
          "tr",
          {},
          h("td", { class: "labx-size" }, formatSize(bytes)),
          h("td", {}, h("code", {}, path)),
          h("td", { class: "labc-muted" }, told),
        ),
      );
    const left = wasted.count - wasted.files.length;
    const more = left ? h("div", { class: "labc-muted" }, `… ${formatCount(left)} more: image.wasted tells all`) : null;
    this.waste.append(
      h(
        "summary",
        {},
        h("span", { class: "labc-chevron", "aria-hidden": "true" }),
        h(
          "span",
          {},
          h("b", {}, `${formatSize(wasted.size_bytes)} wasted`),
          ` in ${files} that later layers overwrite or remove`,
        ),
      ),
      h("div", { class: "labx-waste-files" }, table, more),
    );
    this.waste.open = this.choices.showsWaste;
    this.waste.addEventListener(
      "toggle",
      () => {
        this.choices.showsWaste = this.waste.open;
      },
      { signal: this.signal },
    );
  }
}
