// Terminal text to styled spans: SGR in 16, 256 and true colours. Other control sequences are left out.
// Source: ECMA-48 8.3.117 (SGR), ITU-T T.416 (38:2 and 38:5), xterm "Control Sequences" (OSC).

/** A colour is "" for the default, a number 0 to 15 of the theme's palette, or "#rrggbb". */
export interface Style {
  readonly fg: string;
  readonly bg: string;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
  readonly strike: boolean;
}

export interface Span {
  readonly text: string;
  readonly style: Style;
}

export const plain: Style = Object.freeze({
  fg: "",
  bg: "",
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
  strike: false,
});

// CSI, OSC (ended by BEL or ST), other strings (DCS, SOS, PM, APC), two-byte escapes; the first group holds an SGR's parameters
const sequence =
  /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]|\x1b$/g;
const special = /[\x00-\x08\x0b-\x1f\x7f]/;
const unseen = /[\x00-\x08\x0b-\x1f\x7f]/g;

/** The spans of one line that starts in `style`, and the style that it ends in. Of text overwritten by \r the last is kept. */
export function parseLine(line: string, style: Style): { spans: Span[]; style: Style } {
  if (!special.test(line)) return { spans: line ? [{ text: line, style }] : [], style };
  const spans: Span[] = [];
  let current = style;
  let from = 0;
  const add = (text: string) => {
    const back = text.lastIndexOf("\r");
    if (back >= 0) spans.length = 0;
    const seen = text.slice(back + 1).replace(unseen, "");
    if (!seen) return;
    const last = spans.at(-1);
    if (last && last.style === current) spans[spans.length - 1] = { text: last.text + seen, style: current };
    else spans.push({ text: seen, style: current });
  };
  // a carriage return at the very end moves the cursor and overwrites nothing
  const text = line.replace(/\r+$/, "");
  for (const match of text.matchAll(sequence)) {
    add(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[1] !== undefined) current = applySgr(match[1], current);
  }
  add(text.slice(from));
  return { spans, style: current };
}

/** The text that a reader sees. */
export function plainText(spans: readonly Span[]): string {
  return spans.map((span) => span.text).join("");
}

/** `style` after the SGR sequence with these parameters. */
export function applySgr(parameters: string, style: Style): Style {
  const next = { ...style };
  const codes = parameters.split(";");
  for (let at = 0; at < codes.length; at++) {
    const [first = "", ...rest] = (codes[at] ?? "").split(":");
    const code = Number(first || "0");
    if (code === 0) Object.assign(next, plain);
    else if (code === 38 || code === 48) {
      const own = rest.length > 0;
      const numbers = (own ? rest : codes.slice(at + 1)).map((text) => (text === "" ? Number.NaN : Number(text)));
      const { colour, used } = extendedColour(numbers, own);
      if (colour !== null) next[code === 38 ? "fg" : "bg"] = colour;
      if (!own) at += used;
    } else applySimple(code, rest[0] ?? "", next);
  }
  return same(next, plain) ? plain : next;
}

type Changing = { -readonly [Key in keyof Style]: Style[Key] };

function applySimple(code: number, detail: string, style: Changing): void {
  if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 3) style.italic = true;
  else if (code === 4) style.underline = detail !== "0";
  else if (code === 7) style.inverse = true;
  else if (code === 9) style.strike = true;
  else if (code === 21) style.underline = true;
  else if (code === 22) style.bold = style.dim = false;
  else if (code === 23) style.italic = false;
  else if (code === 24) style.underline = false;
  else if (code === 27) style.inverse = false;
  else if (code === 29) style.strike = false;
  else if (code >= 30 && code <= 37) style.fg = String(code - 30);
  else if (code === 39) style.fg = "";
  else if (code >= 40 && code <= 47) style.bg = String(code - 40);
  else if (code === 49) style.bg = "";
  else if (code >= 90 && code <= 97) style.fg = String(code - 82);
  else if (code >= 100 && code <= 107) style.bg = String(code - 92);
}

/** What follows 38 or 48; with colons a colour space may stand before red, green and blue. */
function extendedColour(numbers: number[], colons: boolean): { colour: string | null; used: number } {
  if (numbers[0] === 5) {
    const index = numbers[1];
    return { colour: index === undefined || !(index >= 0 && index <= 255) ? null : indexedColour(index), used: 2 };
  }
  if (numbers[0] === 2) {
    const parts = colons && numbers.length >= 5 ? numbers.slice(2, 5) : numbers.slice(1, 4);
    const valid = parts.length === 3 && parts.every((part) => part >= 0 && part <= 255);
    return { colour: valid ? hex(parts) : null, used: 4 };
  }
  return { colour: null, used: 1 };
}

/** xterm's 256 colours: 16 of the theme, a cube of 6×6×6, and 24 greys. */
export function indexedColour(index: number): string {
  if (index < 16) return String(index);
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return hex([grey, grey, grey]);
  }
  const level = (part: number) => (part === 0 ? 0 : 55 + part * 40);
  const cube = index - 16;
  return hex([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
}

function hex(parts: readonly number[]): string {
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

function same(one: Style, other: Style): boolean {
  return (Object.keys(plain) as (keyof Style)[]).every((key) => one[key] === other[key]);
}
