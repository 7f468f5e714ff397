// Which processes of the machine share which namespaces: a table in which equal colours in a column are one namespace.

import { h, setAttribute, setText } from "./dom.ts";
import { formatClock } from "./format.ts";
import type { Sharing, SharingSubject } from "./glass_messages.ts";

// inodes of namespaces differ in their last digits; the title has all
const SHOWN_DIGITS = 5;

export class GlassSharing {
  readonly element = h("section", { class: "labg-sharing", "aria-label": "Who shares which namespaces", hidden: true });
  private readonly words = h("span", { class: "labc-muted labg-sharing-words" });
  private readonly room = h("div", {
    class: "labg-sharing-room",
    tabindex: 0,
    role: "region",
    "aria-label": "Namespaces",
  });
  private shown: Sharing | null = null;

  constructor(
    private readonly name: () => string,
    look: () => void,
    signal: AbortSignal,
  ) {
    const again = h("button", { type: "button", class: "labc-button" }, "Look again");
    again.addEventListener("click", look, { signal });
    const head = h("div", { class: "labg-sharing-head" }, this.words, again);
    this.element.append(head, this.room);
    for (const kind of ["pointerover", "focusin"] as const)
      this.room.addEventListener(kind, ({ target }) => this.light(target), { signal });
    this.room.addEventListener("pointerleave", () => this.light(null), { signal });
  }

  show(sharing: Sharing): void {
    if (sharing === this.shown) return;
    this.shown = sharing;
    setText(this.words, wordsOf(sharing));
    const heads = ["", "processes", ...sharing.kinds].map((title) => h("th", { scope: "col" }, title));
    const table = h("table", { class: "labc-table" }, h("thead", {}, h("tr", {}, ...heads)));
    table.append(h("tbody", {}, ...sharing.subjects.map((subject) => this.row(subject, sharing))));
    this.room.replaceChildren(table);
  }

  private row(subject: SharingSubject, { kinds, subjects }: Sharing): HTMLElement {
    const { name, kind, pids, cells } = subject;
    const own = kind === "container" && name === this.name();
    const listed = pids.slice(0, 20).join(", ") + (pids.length > 20 ? " …" : "");
    return h(
      "tr",
      { "data-kind": kind, "data-own": own },
      h("th", { scope: "row" }, name),
      h("td", { title: `pid ${listed}` }, String(pids.length)),
      ...cells.map(([inode, shade], index) => {
        const others = subjects
          .filter((one) => one !== subject && one.cells[index]?.[0] === inode)
          .map((one) => one.name);
        const with_ = others.length ? `, shared with ${others.slice(0, 8).join(", ")}` : ", shared with nobody";
        return h(
          "td",
          {
            "data-shade": shade ? ((shade - 1) % 8) + 1 : 0,
            "data-space": inode ? `${index}-${inode}` : null,
            title: inode ? `${kinds[index]} namespace ${inode}${with_}` : "this user may not look",
          },
          h("span", { class: "labg-space" }, inode ? `…${String(inode).slice(-SHOWN_DIGITS)}${letters(shade)}` : "?"),
        );
      }),
    );
  }

  /** Mark all who are in the namespace that is pointed at. */
  private light(target: EventTarget | null): void {
    const space = target instanceof Element ? target.closest("[data-space]")?.getAttribute("data-space") : null;
    for (const cell of this.room.querySelectorAll("[data-space]"))
      setAttribute(cell, "data-lit", space !== null && cell.getAttribute("data-space") === space);
  }
}

function wordsOf({ time, unseen }: Sharing): string {
  const hidden = unseen
    ? ` ${unseen} ${unseen === 1 ? "process" : "processes"} of other users may not be looked at.`
    : "";
  return `Equal colours in a column are one namespace; the host’s have none. As of ${formatClock(time).slice(0, 8)}.${hidden}`;
}

/** A letter for a namespace that is not the host's: a, b, … z, aa, ab … */
export function letters(shade: number): string {
  let text = "";
  for (let rest = shade; rest > 0; rest = Math.floor((rest - 1) / 26))
    text = String.fromCharCode(97 + ((rest - 1) % 26)) + text;
  return text && ` ${text}`;
}
