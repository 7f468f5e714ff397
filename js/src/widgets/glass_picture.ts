// The picture of a container that is being assembled: a room for each stage, in which its parts appear.

import { h, onNumbered, setAttribute } from "./dom.ts";
import type { Part, Timeline } from "./glass_timeline.ts";

const CHIPS_SHOWN = 26;

/** What the rooms are called where their titles are too long. */
const SHORT: Record<string, string> = { identity: "Identity and security" };

export class GlassPicture {
  readonly element = h("div", { class: "labg-picture" });
  private readonly rooms = new Map<string, { room: HTMLElement; parts: HTMLElement; key: string }>();

  constructor(
    private readonly goTo: (position: number) => void,
    titles: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ) {
    const room = (stage: string, ...inside: HTMLElement[]) => this.room(stage, titles.get(stage) ?? stage, inside);
    const program = room("program");
    const identity = room("identity", program);
    const side = h("div", { class: "labg-side" }, room("mounts"), room("devices"));
    const core = h("div", { class: "labg-core" }, identity, side);
    const namespaces = room("namespaces", core, room("layers"));
    const group = room("cgroup", namespaces);
    const host = h("div", { class: "labg-host" }, h("div", { class: "labg-host-title" }, "this machine"), group);
    host.append(room("network"));
    this.element.append(host);
    onNumbered(this.element, "data-operation", (index) => this.goTo(index + 1), signal);
  }

  private room(stage: string, title: string, inside: HTMLElement[]): HTMLElement {
    const parts = h("div", { class: "labg-parts" });
    const head = h("div", { class: "labg-room-title" }, SHORT[stage] ?? title);
    const line = h("div", { class: "labg-room-head" }, head, parts);
    const room = h("section", { class: `labg-room labg-${stage}`, "data-stage": stage }, line, ...inside);
    this.rooms.set(stage, { room, parts, key: "" });
    return room;
  }

  show(timeline: Timeline): void {
    const told: string[] = [];
    for (const [stage, place] of this.rooms) {
      const state = timeline.stateOf(stage);
      const parts = timeline.partsOf(stage);
      setAttribute(place.room, "data-state", state ?? "none");
      if (state && state !== "coming") told.push(stage);
      const key = JSON.stringify(parts);
      if (key === place.key) continue;
      place.key = key;
      const shown = stage === "layers" ? [...parts].reverse() : parts;
      const left = shown.length - CHIPS_SHOWN;
      place.parts.replaceChildren(
        ...shown.slice(0, CHIPS_SHOWN).map((part) => chip(part)),
        ...(left > 0 ? [h("span", { class: "labg-more" }, `… ${left} more`)] : []),
      );
    }
    setAttribute(this.element, "role", "img");
    setAttribute(this.element, "aria-label", `The container so far: ${told.join(", ") || "nothing yet"}`);
  }
}

function chip({ label, operation, made, count, state }: Part): HTMLElement {
  const several = count === 1 ? "" : made && made < count ? ` ${made} of ${count}` : ` ×${count}`;
  return h(
    "span",
    { class: "labg-part", "data-state": state, "data-operation": operation, title: label },
    label + several,
  );
}
