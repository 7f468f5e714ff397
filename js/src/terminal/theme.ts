// The colours and the font of a terminal: those of the other widgets, which follow the page's theme.

import type { ITheme } from "@xterm/xterm";

const NAMES = [
  "black",
  "red",
  "green",
  "yellow",
  "blue",
  "magenta",
  "cyan",
  "white",
  "brightBlack",
  "brightRed",
  "brightGreen",
  "brightYellow",
  "brightBlue",
  "brightMagenta",
  "brightCyan",
  "brightWhite",
] as const;
// a theme's style sheet comes some time after its name
const LATER_MS = [0, 150, 600, 2000];

export function themeOf(element: Element): { theme: ITheme; font: string } {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--labc-${name}`).trim();
  const foreground = colour("fg");
  const theme: ITheme = {
    foreground,
    background: colour("log-bg"),
    cursor: foreground,
    cursorAccent: colour("log-bg"),
    selectionBackground: colour("selection"),
    scrollbarSliderBackground: "#80808040",
    scrollbarSliderHoverBackground: "#80808070",
    scrollbarSliderActiveBackground: "#80808090",
  };
  NAMES.forEach((name, index) => {
    theme[name] = colour(`ansi-${index}`);
  });
  return { theme, font: colour("mono") };
}

/** Call `work` when the page gets another theme. */
export function onThemeChange(work: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(() => {
    for (const delay of LATER_MS) setTimeout(() => signal.aborted || work(), delay);
  });
  const attributeFilter = ["class", "data-jp-theme-light", "data-jp-theme-name", "data-theme"];
  for (const target of [document.documentElement, document.body]) observer.observe(target, { attributeFilter });
  signal.addEventListener("abort", () => observer.disconnect());
}
