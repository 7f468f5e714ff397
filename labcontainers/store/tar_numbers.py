"""The numbers of tar archives, and the error for an archive that cannot be read; it must not know anything else of them.

Sources: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format" (base 256).
"""

from __future__ import annotations

from labcontainers.errors import InvalidArgument

MOST_DIGITS = 19
LARGEST = (1 << 63) - 1


def number(field: bytes, what: str, signed: bool = False) -> int:
    """A number of a header: octal digits, or GNU's base 256. Raises InvalidArgument for none, and for one below 0 unless `signed`."""
    text = field.rstrip(b"\0 ")
    if text.isdigit():
        try:
            return int(text, 8)
        except ValueError:
            pass
    return _odd_number(field, what, signed)


def _odd_number(field: bytes, what: str, signed: bool) -> int:
    """A number that is not only digits."""
    first = field[0]
    if first < 0x80:
        value = octal(field)
        if value < 0:
            raise bad(f"a {what} that is no number: {shown(field)}")
        return value
    # The highest bit marks the form, the next one is the sign.
    value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    if first & 0x40:
        value -= 1 << (8 * len(field) - 1)
    if (value < 0 and not signed) or abs(value) > LARGEST:
        raise bad(f"a {what} of {value}")
    return value


def octal(field: bytes) -> int:
    """The value of octal digits between blanks, up to a zero byte; 0 for none, and -1 for anything else."""
    text = field.partition(b"\0")[0].strip(b" ")
    if text.isdigit():
        try:
            return int(text, 8)
        except ValueError:
            return -1
    return -1 if text else 0


def decimal(text: bytes) -> int:
    """The value of decimal digits that fit 63 bits; raises InvalidArgument."""
    if len(text) > MOST_DIGITS or not text.isdigit() or int(text) > LARGEST:
        raise bad(f"{shown(text)} is no size, offset or id")
    return int(text)


def shown(name: bytes) -> str:
    """A name for a message: on one line, and not too long."""
    return ascii(name[:200])[1:]


def bad(problem: str, hint: str = "it is damaged, or made to do harm") -> InvalidArgument:
    """The error for an archive that cannot be read."""
    return InvalidArgument(f"the archive cannot be read: {problem}", hint)
