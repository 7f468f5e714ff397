// What a container that is made step by step has beside its walk: buttons that let it go on, and a look at the half-made process.

import { h, setAttribute, setText } from "./dom.ts";
import type { Look, StepState } from "./glass_messages.ts";
import { failureNote } from "./progress_frame.ts";

export class GlassSteps {
  readonly buttons = h("div", { class: "labc-actions labg-actions", hidden: true });
  readonly notes = h("div", { class: "labc-notes labg-notes", role: "status" });
  readonly look = h("div", {
    class: "labg-look",
    role: "region",
    "aria-label": "What the process has so far",
    tabindex: 0,
  });
  private readonly all: HTMLButtonElement[] = [];

  constructor(act: (action: string) => void, signal: AbortSignal) {
    for (const [action, text] of [
      ["next", "Next stage"],
      ["finish", "Run to the end"],
      ["abort", "Abort"],
    ] as const) {
      const button = h("button", { type: "button", class: "labc-button", "data-action": action }, text);
      button.addEventListener("click", () => act(action), { signal });
      this.all.push(button);
    }
    this.buttons.append(...this.all);
  }

  show(step: StepState | null): void {
    this.buttons.hidden = !step || !["going", "waiting"].includes(step.status);
    for (const button of this.all) button.disabled = step?.status === "going" && button.dataset.action !== "abort";
    const key = JSON.stringify(step);
    if (this.notes.dataset.key === key) return;
    this.notes.dataset.key = key;
    const words =
      step?.status === "waiting"
        ? `Process ${step.pid} waits before the stage “${step.stage}”. Look at /proc/${step.pid} from another cell.`
        : step?.status === "aborted"
          ? "Nothing of it is left."
          : "";
    const note = step?.failure
      ? failureNote(step.failure)
      : words && h("div", { class: "labc-note-box", "data-tone": step?.status === "waiting" ? "busy" : "calm" }, words);
    this.notes.replaceChildren(...(note ? [note] : []));
    this.look.replaceChildren(...(step?.look ?? []).map((one) => lookTable(one)));
    setAttribute(this.look, "data-empty", !step?.look.length);
  }
}

function lookTable({ title, rows }: Look): HTMLElement {
  const head = h("div", { class: "labg-look-title" });
  setText(head, title);
  const table = h("table", { class: "labc-table" });
  for (const [name, value, own] of rows)
    table.append(h("tr", { "data-own": own }, h("th", { scope: "row" }, name), h("td", {}, h("code", {}, value))));
  return h("section", { class: "labg-look-part" }, head, table);
}
