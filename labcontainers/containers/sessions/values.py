"""The notebook's values on their way into a session and back: JSON, text for shells, Arrow for tables.

It must not know how they travel.
"""

from __future__ import annotations

import base64
import json
import keyword
import math
import re
from typing import Any

from labcontainers.errors import InvalidArgument, Unsupported

_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NODE_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_NODE_WORDS = frozenset(
    "await break case catch class const continue debugger default delete do else enum export extends false finally for function if "
    "implements import in instanceof interface let new null package private protected public return static super switch this throw true "
    "try typeof var void while with yield".split()
)
_EXACT_IN_NODE = 2**53 - 1
_TABLES = {("pandas", "DataFrame"): "frame", ("pandas", "Series"): "series", ("pyarrow", "Table"): "table"}


def check_name(language: str, name: str) -> str:
    """A variable's name that the session's language has; raises InvalidArgument."""
    if language == "python":
        good = name.isidentifier() and not keyword.iskeyword(name)
    elif language == "node":
        good = bool(_NODE_NAME.fullmatch(name)) and name not in _NODE_WORDS
    else:
        good = bool(_SHELL_NAME.fullmatch(name)) and name != "_"
    if not good:
        raise InvalidArgument(f"not the name of a variable in {language}: {name!r}", "write letters, digits and underscores")
    return name


def as_json(language: str, name: str, value: Any) -> Any:
    """`value` as JSON can hold it without loss; raises InvalidArgument, with the name and the reason."""
    try:
        return _plain(language, name, value)
    except RecursionError:
        raise InvalidArgument(f"{name} cannot be pushed: it contains itself", "push a part of it") from None


def _plain(language: str, where: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if language == "node" and abs(value) > _EXACT_IN_NODE:
            raise InvalidArgument(f"{where} cannot be pushed: {value} is no exact number in node", "push it as text: str(…)")
        return int(value)
    if isinstance(value, float):
        if language == "node" and not math.isfinite(value):
            raise InvalidArgument(f"{where} cannot be pushed: JSON has no {value}", "push None instead")
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(language, f"{where}[{index}]", item) for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidArgument(
                    f"{where} cannot be pushed: its key {key!r} is {type(key).__name__}, and JSON has only text there", "make it text"
                )
        return {key: _plain(language, f"{where}[{key!r}]", item) for key, item in value.items()}
    kind = type(value)
    called = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    raise InvalidArgument(
        f"{where} cannot be pushed: it is of type {called}, which JSON cannot hold", "make it text, a number, a list or a dict"
    )


def as_text(name: str, value: Any) -> str:
    """`value` for a shell: text as it is, nothing for None, all else as JSON; raises InvalidArgument."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(as_json("sh", name, value), ensure_ascii=False)
    if "\0" in text:
        raise InvalidArgument(f"{name} cannot be pushed: a shell's variable cannot hold a zero byte", "push it without")
    return text


def as_table(language: str, name: str, value: Any) -> dict[str, str] | None:
    """The Arrow stream of a pandas or pyarrow table; None for other values. Raises Unsupported where that cannot travel."""
    kind = _TABLES.get((type(value).__module__.partition(".")[0], type(value).__name__))
    if kind is None:
        return None
    if language != "python":
        raise Unsupported(f"{name} cannot be pushed: tables go to python sessions alone, not to {language}", "push .to_csv() as text")
    arrow = _arrow(name)
    table = value
    if kind == "series":
        kind = "series" if isinstance(value.name, str) else "unnamed"
        table = arrow.Table.from_pandas(value.to_frame(value.name if kind == "series" else "value"))
    elif kind == "frame":
        table = arrow.Table.from_pandas(value)
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {"kind": kind, "arrow": base64.b64encode(sink.getvalue().to_pybytes()).decode()}


def from_table(name: str, text: str) -> Any:
    """What `kind BASE64` holds: a pandas or pyarrow object; raises Unsupported where that cannot be made here."""
    kind, _, data = text.partition(" ")
    table = _arrow(name).ipc.open_stream(base64.b64decode(data)).read_all()
    if kind == "table":
        return table
    try:
        frame = table.to_pandas()
    except ImportError:
        raise Unsupported(f"{name} is a pandas object, and the notebook has no pandas", "install pandas here") from None
    if kind == "frame":
        return frame
    return frame.iloc[:, 0].rename(None) if kind == "unnamed" else frame.iloc[:, 0]


def _arrow(name: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise Unsupported(
            f"{name} is a table: these travel by Arrow, and the notebook has no pyarrow", "install pyarrow here and in the container"
        ) from None
    return pyarrow
