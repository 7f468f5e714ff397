// One view of a terminal: who and how it is, what can be done with it, and xterm.js below that.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { every, h, icon, keepKeys, onResize, perFrame, setAttribute, setText } from "../widgets/dom.ts";
import type { TerminalState } from "../widgets/messages.ts";
import { isAnswer, type Sink } from "./flow.ts";
import { RowsHandle } from "./rows_handle.ts";
import type { TerminalStore } from "./store.ts";
import { onThemeChange, themeOf } from "./theme.ts";

const PAINT_MS = 700;
const REFOCUS_MS = 500;
const LEFT_MS = 100;
const SMALLEST = 8;
const LARGEST = 28;
const LEAVE = "Ctrl+Shift+Escape or Ctrl+Shift+F6";
const ALIVE = ["starting", "running"];

/** What the badge says, and in which tone. */
export function badge({ status, exit_code }: TerminalState): { text: string; tone: string } {
  if (status === "running") return { text: "running", tone: "good" };
  if (status === "exited") return { text: `exited with code ${exit_code}`, tone: exit_code === 0 ? "calm" : "bad" };
  if (status === "failed") return { text: "failed", tone: "bad" };
  return status === "closed" ? { text: "closed", tone: "calm" } : { text: "starting …", tone: "busy" };
}

/** What is told below the head. */
export function noteOf({
  status,
  container,
  failure,
}: TerminalState): { tone: string; text: string; hint: string } | null {
  if (failure) return { tone: "bad", text: failure.message, hint: failure.hint };
  if (ALIVE.includes(status) || status === "waiting" || container === "running") return null;
  if (container === "removed") return { tone: "calm", text: "The container is gone: it was removed.", hint: "" };
  return {
    tone: "calm",
    text: `The container does not run any more: it is ${container}.`,
    hint: "Start it, then start the terminal again.",
  };
}

export class TerminalView implements Sink {
  private readonly root = h("article", { class: "labc labc-terminal", "data-lm-suppress-shortcuts": "true" });
  private readonly name = h("h3", { class: "labc-name" });
  private readonly badge = h("span", { class: "labc-badge", role: "status" });
  private readonly command = h("code", { class: "labc-command" });
  private readonly note = h("div", { class: "labc-notes", "aria-live": "polite" });
  private readonly hint = h("span", { class: "labc-muted labc-terminal-hint", "aria-hidden": "true" });
  private readonly host = h("div", { class: "labc-terminal-host" });
  private readonly screen = h("div", { class: "labc-terminal-screen" }, this.host);
  private readonly restart: HTMLButtonElement;
  private readonly close: HTMLButtonElement;
  private readonly reader: HTMLButtonElement;
  private readonly handle: RowsHandle;
  private readonly life = new AbortController();
  private readonly fit = new FitAddon();
  private readonly term: Terminal;
  private opened = false;
  /** What is written is from before: what it asks has been answered. */
  private old = 0;
  private width = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private focusedAt = 0;
  private shownNote = "";

  constructor(private readonly store: TerminalStore) {
    const { state, choices } = store;
    this.term = new Terminal({
      rows: state?.rows ?? 24,
      cols: state?.columns ?? 80,
      scrollback: 10_000,
      fontSize: choices.fontSize,
      screenReaderMode: choices.reader,
      minimumContrastRatio: 4.5,
      cursorBlink: false,
      linkHandler: { activate: (event, address) => follow(event, address) },
    });
    this.term.loadAddon(this.fit);
    this.restart = this.button("restart", "Restart", "", () => this.act("restart"));
    this.close = this.button(
      "close",
      "Close",
      "End what runs here, as closing a window does; the container goes on",
      () => this.act("close"),
    );
    this.reader = this.button("reader", "Screen reader", "Read the screen to a screen reader", () => this.read());
    this.handle = new RowsHandle(
      () => store.choices.rows || this.term.rows,
      () => this.cellHeight(),
      (rows) => this.setRows(rows),
      this.life.signal,
    );
    this.assemble();
    this.listen();
  }

  // --- the stream (flow.Sink)

  write(data: Uint8Array, old: boolean, done: () => void): void {
    if (old) this.old++;
    this.term.write(data, () => {
      if (old) this.old--;
      done();
    });
  }

  clear(): void {
    this.term.reset();
  }

  // --- its place

  attach(el: HTMLElement, signal: AbortSignal): void {
    el.replaceChildren(this.root);
    el.classList.add("labc-host");
    if (!this.opened) this.open();
    const draw = perFrame(() => this.draw(), signal);
    this.store.channel.view(draw, signal);
    every(2000, draw, signal);
    this.width = 0;
    this.draw();
    if (Date.now() - this.focusedAt < REFOCUS_MS) requestAnimationFrame(() => this.term.focus());
    signal.addEventListener("abort", () => {
      if (this.used) this.focusedAt = Date.now();
      this.root.remove();
    });
  }

  dispose(): void {
    this.store.output.close(this);
    clearTimeout(this.timer);
    this.life.abort();
    this.term.dispose();
  }

  private open(): void {
    this.opened = true;
    this.term.open(this.host);
    const label = `Terminal of container ${this.store.facts?.name ?? ""}. ${LEAVE} leaves it.`;
    setAttribute(this.term.textarea ?? this.host, "aria-label", label);
    this.store.output.open(this);
  }

  private assemble(): void {
    const smaller = this.button("smaller", "A−", "Smaller letters", () => this.setFont(-1));
    const larger = this.button("larger", "A+", "Larger letters", () => this.setFont(1));
    const copy = this.button("copy", "Copy all", "Copy all that was written", () => this.copyAll(copy));
    const tools = h(
      "div",
      { class: "labc-actions", role: "group", "aria-label": "View" },
      smaller,
      larger,
      this.reader,
      copy,
    );
    const actions = h(
      "div",
      { class: "labc-actions", role: "group", "aria-label": "Actions" },
      this.restart,
      this.close,
    );
    for (const one of [smaller, larger, this.reader, copy]) one.classList.add("labc-quiet");
    const line = h("div", { class: "labc-line" }, this.name, this.badge, this.command);
    const head = h("header", { class: "labc-head" }, h("div", { class: "labc-head-text" }, line), tools, actions);
    this.root.append(
      head,
      this.note,
      this.screen,
      h("footer", { class: "labc-terminal-foot" }, this.handle.element, this.hint),
    );
  }

  private button(name: string, text: string, title: string, work: () => void): HTMLButtonElement {
    const picture = ["restart", "close", "copy"].includes(name) ? icon(name) : null;
    const attributes = { type: "button", class: "labc-button", "data-action": name, title: title || null };
    const button = h("button", attributes, picture, h("span", {}, text));
    button.addEventListener("click", work, { signal: this.life.signal });
    return button;
  }

  private listen(): void {
    const { signal } = this.life;
    const { term, screen, store } = this;
    keepKeys(this.root, signal);
    term.onData((text) => this.type(new TextEncoder().encode(text), isAnswer(text)));
    term.onBinary((text) =>
      this.type(
        Uint8Array.from(text, (letter) => letter.charCodeAt(0)),
        false,
      ),
    );
    term.onWriteParsed(() => this.paintSoon());
    term.attachCustomKeyEventHandler((event) => this.key(event));
    // what is pressed here is not for the notebook, and the browser's own menu has copy and paste
    for (const kind of ["keydown", "keypress", "keyup", "contextmenu", "wheel"] as const) {
      screen.addEventListener(kind, (event) => this.keep(event), { signal });
    }
    this.root.addEventListener("focusin", () => this.focused(true), { signal });
    this.root.addEventListener("focusout", (event) => {
      if (!(event.relatedTarget instanceof Node && this.root.contains(event.relatedTarget))) this.focused(false);
    });
    onResize(screen, () => this.layout(false), signal);
    onThemeChange(() => this.dress(), signal);
    signal.addEventListener("abort", () => store.output.close(this));
  }

  private keep(event: Event): void {
    // the page scrolls on where there is nothing to scroll here
    if (event.type === "wheel" && !this.root.matches(":focus-within")) return;
    event.stopPropagation();
  }

  // --- what is typed

  private type(data: Uint8Array, answer: boolean): void {
    if (answer && this.old > 0) return;
    const status = this.store.state?.status ?? "";
    // before keys it was told a size, so that what waits is about to start
    if (status === "waiting" || ALIVE.includes(status)) this.store.keys.put(data, answer);
  }

  /** Whether a key is for the program. */
  private key(event: KeyboardEvent): boolean {
    const { ctrlKey, shiftKey, altKey, metaKey, key, type } = event;
    if (ctrlKey && shiftKey && (key === "Escape" || key === "F6")) {
      event.preventDefault();
      if (type === "keydown") (this.restart.disabled ? this.close : this.restart).focus();
      return false;
    }
    if (!ctrlKey || shiftKey || altKey || metaKey) return true;
    if (key === "v") return false;
    if (key === "c" && this.term.hasSelection()) {
      if (type === "keydown") {
        event.preventDefault();
        void copy(this.term.getSelection());
        this.term.clearSelection();
      }
      return false;
    }
    return true;
  }

  private focused(on: boolean): void {
    this.root.classList.toggle("labc-focused", on);
    if (on) this.layout(true);
    else setTimeout(() => this.left(), LEFT_MS);
    this.showHint();
  }

  /** Nobody is here any more, nor in another view: what a notebook keeps may be drawn anew. */
  private left(): void {
    if (!this.life.signal.aborted && !this.store.used) this.paintNow(true);
  }

  get used(): boolean {
    return this.root.contains(document.activeElement);
  }

  private act(action: string): void {
    this.store.channel.act(action);
    if (action === "restart") this.term.focus();
  }

  // --- how large it is

  private layout(again: boolean): void {
    const { clientWidth } = this.screen;
    if (!this.opened || clientWidth === 0 || (!again && clientWidth === this.width)) return;
    // colours are known once it stands in the page
    if (this.width === 0) this.dress();
    this.width = clientWidth;
    const { facts, choices } = this.store;
    const columns = facts?.columns || this.fit.proposeDimensions()?.cols;
    if (!columns || !Number.isFinite(columns) || !facts) return;
    const rows = choices.rows || facts.rows;
    this.store.size(rows, columns, again);
  }

  private setRows(rows: number): void {
    this.store.choices.rows = rows;
    this.layout(true);
  }

  private setFont(by: number): void {
    const { choices } = this.store;
    choices.fontSize = Math.min(LARGEST, Math.max(SMALLEST, choices.fontSize + by));
    this.term.options.fontSize = choices.fontSize;
    this.layout(true);
  }

  private cellHeight(): number {
    return this.host.querySelector(".xterm-screen")?.clientHeight
      ? (this.host.querySelector(".xterm-screen")?.clientHeight ?? 0) / this.term.rows
      : this.store.choices.fontSize * 1.2;
  }

  // --- what stands there

  private paintSoon(): void {
    this.timer ??= setTimeout(() => this.paintNow(false), PAINT_MS);
  }

  private paintNow(left: boolean): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { buffer, rows } = this.term;
    this.store.paint(this.text(buffer.active.baseY, buffer.active.baseY + rows), left);
  }

  private text(from: number, to: number): string {
    const { active } = this.term.buffer;
    const lines: string[] = [];
    for (let at = from; at < to; at++) {
      const line = active.getLine(at);
      const text = line?.translateToString(true) ?? "";
      if (line?.isWrapped && lines.length > 0) lines.push((lines.pop() ?? "") + text);
      else lines.push(text);
    }
    return lines.join("\n").trimEnd();
  }

  private async copyAll(button: HTMLElement): Promise<void> {
    await copy(this.text(0, this.term.buffer.active.length));
    button.classList.add("labc-done");
    setTimeout(() => button.classList.remove("labc-done"), 900);
  }

  private read(): void {
    const { choices } = this.store;
    choices.reader = !choices.reader;
    this.term.options.screenReaderMode = choices.reader;
    this.draw();
  }

  private dress(): void {
    if (!this.root.isConnected) return;
    const { theme, font } = themeOf(this.root);
    this.term.options.theme = theme;
    if (font) this.term.options.fontFamily = font;
  }

  private draw(): void {
    const { facts, state, channel, choices } = this.store;
    if (!facts || !state) return;
    this.layout(state.status === "waiting");
    if (this.term.rows !== state.rows || this.term.cols !== state.columns) this.term.resize(state.columns, state.rows);
    setText(this.name, facts.name);
    setText(this.command, facts.title);
    setAttribute(this.command, "title", facts.title);
    setAttribute(this.root, "aria-label", `Terminal of container ${facts.name}`);
    setAttribute(this.root, "data-status", state.status);
    const { text, tone } = badge(state);
    setText(this.badge, text);
    setAttribute(this.badge, "data-tone", tone);
    const alive = ALIVE.includes(state.status);
    const word = alive ? "Restart" : facts.own ? "Attach again" : "Start again";
    if (this.restart.textContent !== word) setText(this.restart.querySelector("span") ?? this.restart, word);
    this.restart.disabled = state.status === "waiting" || state.container === "removed";
    this.close.disabled = !alive;
    this.term.options.cursorInactiveStyle = alive ? "outline" : "none";
    setAttribute(this.reader, "aria-pressed", String(choices.reader));
    this.showNote(channel.silent ? silence : noteOf(state));
    this.showHint();
    this.handle.show();
  }

  private showNote(note: { tone: string; text: string; hint: string } | null): void {
    const key = JSON.stringify(note);
    if (key === this.shownNote) return;
    this.shownNote = key;
    const hint = note?.hint ? h("span", { class: "labc-hint" }, note.hint) : null;
    this.note.replaceChildren(
      ...(note ? [h("div", { class: "labc-note-box", "data-tone": note.tone }, note.text, hint)] : []),
    );
  }

  private showHint(): void {
    const { rows, cols } = this.term;
    const leave = this.root.classList.contains("labc-focused") ? `Ctrl+Shift+Esc leaves the terminal · ` : "";
    setText(this.hint, `${leave}${cols} × ${rows}`);
  }
}

const silence = {
  tone: "calm",
  text: "The kernel has not answered for a while: it is busy, or it has ended.",
  hint: "",
};

/** A link is followed with Ctrl or Cmd alone, and nowhere but to the web. */
function follow(event: MouseEvent, address: string): void {
  if ((event.ctrlKey || event.metaKey) && /^https?:/.test(address))
    window.open(address, "_blank", "noopener,noreferrer");
}

async function copy(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
}
