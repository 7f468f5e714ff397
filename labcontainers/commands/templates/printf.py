"""Go's printf, for the values that templates have; it must not know templates.

What does not fit is told in the text itself, as in Go: %!d(string=x). Source: pkg.go.dev/fmt, "Printing" and "Format errors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from labcontainers.commands.templates.values import Nothing, float_text, text_of, type_of

_VERB = re.compile(
    r"""%(?P<flags>[-+\# 0]*)
        (?P<width>(?:\[\d+\])?\*|\d*)
        (?P<precision>\.(?:(?:\[\d+\])?\*|\d*))?
        (?P<index>\[\d+\])?
        (?P<verb>.)?""",
    re.VERBOSE | re.DOTALL,
)
_BASES = {"b": ("b", "0b"), "o": ("o", "0"), "O": ("o", ""), "x": ("x", "0x"), "X": ("X", "0X"), "d": ("d", ""), "v": ("d", "")}
_QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class _Verb:
    letter: str
    flags: str
    width: int
    precision: int | None

    def has(self, flag: str) -> bool:
        return flag in self.flags

    def pad(self, text: str, *, zeros: bool = False) -> str:
        """As wide as wanted; zeros go between a sign and the digits."""
        missing = self.width - len(text)
        if missing <= 0:
            return text
        if self.has("-"):
            return text + " " * missing
        if zeros and self.has("0"):
            sign = text[:1] if text[:1] in ("+", "-", " ") and len(text) > 1 else ""
            return sign + "0" * missing + text[len(sign) :]
        return " " * missing + text


class _Arguments:
    """The values, taken one after the other or by [n]."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values
        self.at = 0
        self.reordered = False
        self.bad_index = False

    def seek(self, text: str) -> None:
        number = int(text.strip("[]*"))
        self.reordered = True
        self.bad_index = not 1 <= number <= len(self.values)
        self.at = number - 1

    def take_number(self, text: str) -> int | None:
        """A width or precision that is an argument; None for one that is no number."""
        if "[" in text:
            self.seek(text)
        value = self.values[self.at] if 0 <= self.at < len(self.values) else None
        self.at += 1
        return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST else None


def sprintf(form: str, *values: Any) -> str:
    """The form with its verbs filled in."""
    arguments = _Arguments(tuple(None if isinstance(value, Nothing) else value for value in values))
    text = _VERB.sub(lambda match: _fill(match, arguments), form)
    left = arguments.values[arguments.at :]
    if left and not arguments.reordered:
        extra = ", ".join(f"{type_of(value)}={text_of(value)}" if value is not None else "<nil>" for value in left)
        text += f"%!(EXTRA {extra})"
    return text


def _fill(match: re.Match[str], arguments: _Arguments) -> str:
    flags, before = match["flags"], ""
    width: int | None = 0
    if match["width"].endswith("*"):
        width = arguments.take_number(match["width"])
        before += "%!(BADWIDTH)" if width is None else ""
        if width is not None and width < 0:
            flags, width = flags + "-", -width
    elif match["width"]:
        width = int(match["width"])
        before += "%!(BADWIDTH)" if width > _LARGEST else ""
        width = width if width <= _LARGEST else 0
    precision: int | None = None
    asked = match["precision"]
    if asked is not None and asked.endswith("*"):
        precision = arguments.take_number(asked.lstrip("."))
        precision = None if precision is None or precision < 0 else precision
        before += "%!(BADPREC)" if precision is None else ""
    elif asked is not None:
        precision = int(asked[1:] or 0)
        before += "%!(BADPREC)" if precision > _LARGEST else ""
        precision = precision if precision <= _LARGEST else None
    letter = match["verb"]
    if letter is None:
        return before + "%!(NOVERB)"
    if match["index"]:
        arguments.seek(match["index"])
    if letter == "%":
        return before + "%"
    if arguments.bad_index:
        return f"{before}%!{letter}(BADINDEX)"
    if arguments.at >= len(arguments.values):
        return f"{before}%!{letter}(MISSING)"
    value = arguments.values[arguments.at]
    arguments.at += 1
    return before + _one(_Verb(letter, flags, width or 0, precision), value)


def _one(verb: _Verb, value: Any) -> str:
    if verb.letter == "T":
        return verb.pad(type_of(value))
    if verb.letter == "v" and verb.has("#"):
        return verb.pad(_go_syntax(value))
    if value is None:
        return verb.pad("<nil>") if verb.letter == "v" else f"%!{verb.letter}(<nil>)"
    if isinstance(value, list | tuple):
        if verb.letter in "xX" and all(isinstance(item, str) for item in value):
            return f"[{' '.join(_text(verb, item) for item in value)}]"
        return f"[{' '.join(_one(verb, item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{_one(verb, key)}:{_one(verb, item)}' for key, item in sorted(value.items()))}]"
    if isinstance(value, bool):
        return verb.pad(text_of(value)) if verb.letter in "tv" else _misfit(verb, value)
    if isinstance(value, int):
        return _integer(verb, value)
    if isinstance(value, float):
        return _float(verb, value)
    if isinstance(value, str):
        return _text(verb, value)
    return _misfit(verb, value)


def _misfit(verb: _Verb, value: Any) -> str:
    return f"%!{verb.letter}({type_of(value)}={_one(replace(verb, letter='v', flags=verb.flags.replace('#', '')), value)})"


def _integer(verb: _Verb, value: int) -> str:
    letter = verb.letter
    if letter in ("c", "q") and 0 <= value <= 0x10FFFF:
        return verb.pad(chr(value) if letter == "c" else quote(chr(value), "'", ascii_only=verb.has("+")), zeros=True)
    if letter == "U":
        return verb.pad(f"U+{value:04X}" + (f" '{chr(value)}'" if verb.has("#") and chr(value).isprintable() else ""))
    if letter not in _BASES:
        return _misfit(verb, value)
    form, prefix = _BASES[letter]
    digits = format(abs(value), form)
    if verb.precision is not None:
        digits = "" if verb.precision == 0 and value == 0 else digits.rjust(verb.precision, "0")
    sign = "-" if value < 0 else "+" if verb.has("+") else " " if verb.has(" ") else ""
    prefix = "0o" if letter == "O" else prefix if verb.has("#") else ""
    if verb.has("0") and not verb.has("-") and verb.precision is None:
        # The width counts the digits and the sign, and not what is written before them.
        digits = digits.rjust(verb.width - len(sign), "0")
    return verb.pad(sign + prefix + digits)


def _float(verb: _Verb, value: float) -> str:
    letter, precision = verb.letter, verb.precision
    if letter not in "eEfFgGvxX" or (letter in "xX" and precision is not None):
        return _misfit(verb, value)
    if letter in "xX":
        text = _hexadecimal(value)
        text = text.upper() if letter == "X" else text
    elif letter in "eEfF":
        text = format(value, f"{'.6' if precision is None else f'.{precision}'}{letter}")
    elif precision is None:
        text = float_text(value)
        text = text.upper() if letter == "G" else text
    else:
        text = format(value, f".{precision}{'G' if letter == 'G' else 'g'}")
    if not text.startswith("-") and (verb.has("+") or verb.has(" ")):
        text = ("+" if verb.has("+") else " ") + text.lstrip("+")
    return verb.pad(text, zeros=True)


def _hexadecimal(value: float) -> str:
    """With an exponent of two, as 0x1.8p+00."""
    mantissa, _, power = value.hex().partition("p")
    if not power:
        return float_text(value)
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}p{int(power):+03d}"


def _text(verb: _Verb, value: str) -> str:
    if verb.letter in ("s", "v"):
        return verb.pad(value[: verb.precision], zeros=True)
    if verb.letter == "q":
        cut = value[: verb.precision]
        if verb.has("#") and "`" not in cut and all(character.isprintable() or character == "\t" for character in cut):
            return verb.pad(f"`{cut}`", zeros=True)
        return verb.pad(quote(cut, ascii_only=verb.has("+")), zeros=True)
    if verb.letter in "xX":
        data = value.encode("utf-8", "surrogateescape")[: verb.precision]
        form, start = ("%02x", "0x") if verb.letter == "x" else ("%02X", "0X")
        start = start if verb.has("#") and data else ""
        separator = f" {start}" if verb.has(" ") else ""
        return verb.pad(start + separator.join(form % byte for byte in data), zeros=True)
    return _misfit(verb, value)


def _go_syntax(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list | tuple):
        return f"{type_of(value)}{{{', '.join(map(_go_syntax, value))}}}"
    if isinstance(value, Mapping):
        return f"{type_of(value)}{{{', '.join(f'{quote(key)}:{_go_syntax(item)}' for key, item in sorted(value.items()))}}}"
    return text_of(value)


def quote(text: str, mark: str = '"', *, ascii_only: bool = False) -> str:
    """A text or a character as Go's source has it (strconv.Quote)."""
    return mark + "".join(_quoted(character, mark, ascii_only) for character in text) + mark


def _quoted(character: str, mark: str, ascii_only: bool) -> str:
    if character == mark:
        return "\\" + mark
    if character in _QUOTED:
        return _QUOTED[character]
    number = ord(character)
    if character.isprintable() and (number < 0x80 or not ascii_only):
        return character
    if number < 0x20 or number == 0x7F:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
