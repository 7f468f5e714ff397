// Small parts that the tabs have in common: buttons, filters, switches.

import { h, icon } from "../widgets/dom.ts";

const SVG = "http://www.w3.org/2000/svg";

/** A button with a picture, and with words unless it stands in a row of a table. */
export function pressable(
  name: string,
  picture: string,
  words: string,
  work: () => void,
  signal: AbortSignal,
): HTMLButtonElement {
  const button = h(
    "button",
    { type: "button", class: "labc-button", "data-action": name },
    icon(picture),
    h("span", {}, words),
  );
  button.addEventListener("click", work, { signal });
  return button;
}

export function small(
  name: string,
  picture: string,
  title: string,
  work: () => void,
  signal: AbortSignal,
): HTMLButtonElement {
  const button = h(
    "button",
    { type: "button", class: "labc-button labc-quiet labd-icon", "data-action": name, title, "aria-label": title },
    icon(picture),
  );
  button.addEventListener("click", work, { signal });
  return button;
}

/** A field to filter by; `changed` hears of each change. */
export function field(
  placeholder: string,
  label: string,
  changed: (text: string) => void,
  signal: AbortSignal,
): [HTMLElement, HTMLInputElement] {
  const input = h("input", {
    class: "labc-search-input",
    type: "search",
    placeholder,
    "aria-label": label,
    spellcheck: "false",
    autocomplete: "off",
  });
  input.addEventListener("input", () => changed(input.value), { signal });
  return [h("label", { class: "labc-search" }, icon("search"), input), input];
}

export function choice(
  label: string,
  options: [string, string][],
  changed: (value: string) => void,
  signal: AbortSignal,
): HTMLSelectElement {
  const select = h(
    "select",
    { class: "labd-select", "aria-label": label },
    ...options.map(([value, text]) => h("option", { value }, text)),
  );
  select.addEventListener("change", () => changed(select.value), { signal });
  return select;
}

/** A curve without axes, in the colour of the text around it. */
export class Spark {
  readonly element = document.createElementNS(SVG, "svg");
  private readonly line = document.createElementNS(SVG, "path");
  private shown = "";

  constructor(
    private readonly width: number,
    private readonly height: number,
  ) {
    this.element.setAttribute("class", "labd-spark");
    this.element.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("aria-hidden", "true");
    this.element.append(this.line);
  }

  show(values: readonly (number | null)[], top: number): void {
    const step = this.width / Math.max(1, values.length - 1);
    let path = "";
    let up = true;
    values.forEach((value, index) => {
      if (value === null) {
        up = true;
        return;
      }
      const y = this.height - 1 - Math.min(1, top > 0 ? value / top : 0) * (this.height - 2);
      path += `${up ? "M" : "L"}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
      up = false;
    });
    if (path === this.shown) return;
    this.shown = path;
    this.line.setAttribute("d", path);
  }
}

/** Save a text as a file of the reader's. */
export function download(name: string, text: string, type: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
