// The line of checkpoints on a container's card: the image, then one stop for each, branches marked; a click rolls back to one.

import { h, setAttribute } from "./dom.ts";
import { formatUptime } from "./format.ts";
import type { Point } from "./messages.ts";

/** A stop of the line: `from` is the number of the one before it where that is not its neighbour, else null. */
export interface Stop {
  number: number;
  text: string;
  current: boolean;
  from: number | null;
  created_at: number | null;
}

/** The stops in the order of time; the image is number 0, and the present one where no checkpoint is. */
export function stops(points: readonly Point[]): Stop[] {
  const image: Stop = {
    number: 0,
    text: "image",
    current: !points.some((point) => point.current),
    from: null,
    created_at: null,
  };
  let before = 0;
  return [
    image,
    ...points.map((point) => {
      const from = point.parent === before ? null : point.parent;
      before = point.number;
      const text = point.label ? `${point.number} ${point.label}` : String(point.number);
      return { number: point.number, text, current: point.current, from, created_at: point.created_at };
    }),
  ];
}

export class CheckpointLine {
  readonly element = h("div", { class: "labc-points", role: "group", "aria-label": "Checkpoints", hidden: true });

  constructor(
    private readonly rollBack: (number: number) => void,
    private readonly signal: AbortSignal,
  ) {}

  /** `free`: whether the container stands still, so that it can be rolled back. */
  show(points: readonly Point[], free: boolean, now: number): void {
    this.element.hidden = points.length === 0;
    const key = JSON.stringify([points, free]);
    if (this.element.dataset.key === key) return;
    this.element.dataset.key = key;
    const focused = (document.activeElement as HTMLElement | null)?.dataset.point;
    const had = this.element.contains(document.activeElement) ? focused : undefined;
    this.element.replaceChildren(...stops(points).map((stop) => this.stop(stop, free, now)));
    if (had !== undefined) this.element.querySelector<HTMLElement>(`[data-point="${had}"]`)?.focus();
  }

  private stop(stop: Stop, free: boolean, now: number): HTMLElement {
    const link = h(
      "span",
      { class: "labc-point-link", "aria-hidden": "true" },
      stop.from === null ? "" : `↳ ${stop.from}`,
    );
    if (stop.from !== null) link.classList.add("labc-point-branch");
    const name = stop.number === 0 ? "the image" : `checkpoint ${stop.text}`;
    const after = stop.from === null ? "" : `, which follows ${stop.from || "the image"}`;
    const age = stop.created_at === null ? "" : `, ${formatUptime(now - stop.created_at)} ago`;
    const what = free
      ? `Roll back to ${name}${after}${age}; what has changed since is kept`
      : `${name}${after}${age}; stop the container to roll back`;
    const button = h(
      "button",
      { type: "button", class: "labc-point", "data-point": stop.number, title: what, "aria-label": what },
      stop.text,
    );
    setAttribute(button, "aria-current", stop.current ? "true" : null);
    // not `disabled`, so that its words can be read and the keyboard stays where it is
    setAttribute(button, "aria-disabled", free ? null : "true");
    if (free) button.addEventListener("click", () => this.rollBack(stop.number), { signal: this.signal });
    return h("span", { class: "labc-stop" }, stop.number > 0 && link, button);
  }
}
