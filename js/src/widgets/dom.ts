// Elements in one expression, and lifetimes that end with an AbortSignal.

type Value = string | number | boolean | null | undefined;
type Child = Node | string | null | undefined | false;

/** A new element; `true` sets a bare attribute, false, null and undefined leave it out. */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** Set an element's text only when it differs, so that a selection in it lives on. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: Value): void {
  const text = value === false || value === null || value === undefined ? null : value === true ? "" : String(value);
  if (element.getAttribute(name) === text) return;
  if (text === null) element.removeAttribute(name);
  else element.setAttribute(name, text);
}

/** Call `chosen` with the number that the clicked element, or one around it, has in this attribute. */
export function onNumbered(
  element: Element,
  attribute: string,
  chosen: (number: number) => void,
  signal: AbortSignal,
): void {
  element.addEventListener(
    "click",
    (event) => {
      const number = (event.target as Element).closest(`[${attribute}]`)?.getAttribute(attribute);
      if (number) chosen(Number(number));
    },
    { signal },
  );
}

/** Run `work` at most once per frame, and never after `signal` aborts. */
export function perFrame(work: () => void, signal: AbortSignal): () => void {
  let frame = 0;
  signal.addEventListener("abort", () => cancelAnimationFrame(frame));
  return () => {
    if (frame || signal.aborted) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      work();
    });
  };
}

export function every(milliseconds: number, work: () => void, signal: AbortSignal): void {
  const timer = setInterval(work, milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer));
}

export function onResize(element: Element, work: () => void, signal: AbortSignal): void {
  const observer = new ResizeObserver(work);
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
}

/**
 * Keep the keys that are pressed in `root` from JupyterLab, for which `d d` deletes a cell. It looks for this attribute from the focused element
 * upwards, but no further than to what its shortcuts are for, and many are for `:focus`.
 */
export function keepKeys(root: HTMLElement, signal: AbortSignal): void {
  const mark = ({ target }: Event) =>
    target instanceof Element && target.setAttribute("data-lm-suppress-shortcuts", "true");
  root.addEventListener("focusin", mark, { signal });
}

/** Put the style sheet into the document, once for each text. */
export function useStyle(name: string, text: string): void {
  const kept = document.getElementById(name);
  if (kept?.textContent === text) return;
  kept?.remove();
  document.head.append(h("style", { id: name }, text));
}

const SVG = "http://www.w3.org/2000/svg";

const paths: Record<string, string> = {
  stop: "M5 4h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1z",
  start: "M5.2 3.3a.6.6 0 0 1 .9-.5l7 4.7a.6.6 0 0 1 0 1l-7 4.7a.6.6 0 0 1-.9-.5z",
  restart:
    "M8 3a5 5 0 0 1 4.5 2.8V3.6a.6.6 0 0 1 1.2 0v3.9a.6.6 0 0 1-.6.6H9.2a.6.6 0 0 1 0-1.2h2.5A3.8 3.8 0 1 0 11.8 8.9a.6.6 0 0 1 1.2.3A5 5 0 1 1 8 3z",
  remove:
    "M6.5 2.5h3a.6.6 0 0 1 .6.6v.6h2.8a.6.6 0 0 1 0 1.2h-.4l-.5 7.3a1.4 1.4 0 0 1-1.4 1.3H5.4A1.4 1.4 0 0 1 4 12.2l-.5-7.3h-.4a.6.6 0 0 1 0-1.2h2.8v-.6a.6.6 0 0 1 .6-.6zM4.7 4.9l.5 7.2c0 .1.1.2.2.2h5.2c.1 0 .2-.1.2-.2l.5-7.2z",
  copy: "M3.5 5.5h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-6a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1zm.2 1.2v5.6h5.6V6.7zM6.5 2.5h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-.6V9.3h.4V3.7H6.7v.4H5.5v-.6a1 1 0 0 1 1-1z",
  up: "M8 5.3a.6.6 0 0 1 .4.2l3.8 3.8a.6.6 0 0 1-.85.85L8 6.8l-3.35 3.35a.6.6 0 0 1-.85-.85L7.6 5.5a.6.6 0 0 1 .4-.2z",
  down: "M8 10.7a.6.6 0 0 1-.4-.2L3.8 6.7a.6.6 0 0 1 .85-.85L8 9.2l3.35-3.35a.6.6 0 0 1 .85.85l-3.8 3.8a.6.6 0 0 1-.4.2z",
  follow:
    "M8.6 2.6v7.25l2.55-2.55a.6.6 0 0 1 .85.85L8.4 11.75a.6.6 0 0 1-.8 0L4 8.15a.6.6 0 0 1 .85-.85L7.4 9.85V2.6a.6.6 0 0 1 1.2 0zM3.6 13h8.8a.6.6 0 0 1 0 1.2H3.6a.6.6 0 0 1 0-1.2z",
  search:
    "M7 2.5a4.5 4.5 0 0 1 3.55 7.25l2.8 2.8a.6.6 0 0 1-.85.85l-2.8-2.8A4.5 4.5 0 1 1 7 2.5zm0 1.2a3.3 3.3 0 1 0 0 6.6 3.3 3.3 0 0 0 0-6.6z",
  close:
    "M4.4 3.6 8 7.2l3.6-3.6a.57.57 0 0 1 .8.8L8.8 8l3.6 3.6a.57.57 0 0 1-.8.8L8 8.8l-3.6 3.6a.57.57 0 0 1-.8-.8L7.2 8 3.6 4.4a.57.57 0 0 1 .8-.8z",
  terminal:
    "M3 3h10a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zm.2 1.2v7.6h9.6V4.2zM4.7 5.6a.6.6 0 0 1 .85 0l1.9 1.95a.6.6 0 0 1 0 .85l-1.9 1.95a.6.6 0 1 1-.85-.85L6.2 8 4.7 6.4a.6.6 0 0 1 0-.8zM8 9.4h2.8a.6.6 0 0 1 0 1.2H8a.6.6 0 0 1 0-1.2z",
  clock:
    "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zm0 1.2a4.3 4.3 0 1 0 0 8.6 4.3 4.3 0 0 0 0-8.6zm0 1.3a.6.6 0 0 1 .6.6v2.15l1.6 1.6a.6.6 0 0 1-.85.85L7.6 8.45A.6.6 0 0 1 7.4 8V5.6A.6.6 0 0 1 8 5z",
  open: "M6.5 3.5a.6.6 0 0 1 0 1.2H4.8a.1.1 0 0 0-.1.1v6.4c0 .06.04.1.1.1h6.4a.1.1 0 0 0 .1-.1V9.5a.6.6 0 0 1 1.2 0v1.7a1.3 1.3 0 0 1-1.3 1.3H4.8a1.3 1.3 0 0 1-1.3-1.3V4.8a1.3 1.3 0 0 1 1.3-1.3zm2.6 0h2.8a.6.6 0 0 1 .6.6v2.8a.6.6 0 0 1-1.2 0V5.55L8.05 8.8a.6.6 0 0 1-.85-.85L10.45 4.7H9.1a.6.6 0 0 1 0-1.2z",
  pause:
    "M5.2 3.5h1.1a.7.7 0 0 1 .7.7v7.6a.7.7 0 0 1-.7.7H5.2a.7.7 0 0 1-.7-.7V4.2a.7.7 0 0 1 .7-.7zm4.5 0h1.1a.7.7 0 0 1 .7.7v7.6a.7.7 0 0 1-.7.7H9.7a.7.7 0 0 1-.7-.7V4.2a.7.7 0 0 1 .7-.7z",
  logs: "M3.1 3.6h9.8a.6.6 0 0 1 0 1.2H3.1a.6.6 0 0 1 0-1.2zm0 2.7h6.8a.6.6 0 0 1 0 1.2H3.1a.6.6 0 0 1 0-1.2zm0 2.7h9.8a.6.6 0 0 1 0 1.2H3.1a.6.6 0 0 1 0-1.2zm0 2.7h4.8a.6.6 0 0 1 0 1.2H3.1a.6.6 0 0 1 0-1.2z",
  inspect:
    "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zm0 1.2a4.3 4.3 0 1 0 0 8.6 4.3 4.3 0 0 0 0-8.6zM8 7.2a.6.6 0 0 1 .6.6v2.6a.6.6 0 0 1-1.2 0V7.8a.6.6 0 0 1 .6-.6zm0-2a.75.75 0 1 1 0 1.5.75.75 0 0 1 0-1.5z",
  download:
    "M8 2.4a.6.6 0 0 1 .6.6v5.25l1.95-1.95a.6.6 0 0 1 .85.85l-3 3a.6.6 0 0 1-.8 0l-3-3a.6.6 0 0 1 .85-.85L7.4 8.25V3a.6.6 0 0 1 .6-.6zM3.4 10.4a.6.6 0 0 1 .6.6v1.2h8V11a.6.6 0 0 1 1.2 0v1.5a.9.9 0 0 1-.9.9H3.7a.9.9 0 0 1-.9-.9V11a.6.6 0 0 1 .6-.6z",
  back: "M9.9 3.8a.6.6 0 0 1 0 .85L6.55 8l3.35 3.35a.6.6 0 0 1-.85.85L5.3 8.4a.6.6 0 0 1 0-.8l3.75-3.8a.6.6 0 0 1 .85 0z",
};

/** A picture of 16 × 16 in the colour of the text around it; decoration only. */
export function icon(name: string): SVGSVGElement {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("class", "labc-icon");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", paths[name] ?? "");
  path.setAttribute("fill-rule", "evenodd");
  picture.append(path);
  return picture;
}
