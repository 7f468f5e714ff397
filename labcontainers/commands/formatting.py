"""Documents as text: whole as JSON, or one value by a path as in Docker's `--format`.

It must not know what the documents describe.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from labcontainers.commands.listing import Text
from labcontainers.errors import NotFound, Unsupported

_FIELD = re.compile(r"\{\{\s*(json\s+)?\.([\w.]*)\s*\}\}")


class Documents(list[dict[str, Any]]):
    """JSON documents, printed indented."""

    def __repr__(self) -> str:
        return json.dumps(list(self), indent=4, ensure_ascii=False)


def format_document(documents: Sequence[Mapping[str, Any]], template: str | None) -> Any:
    """The documents, or the template filled in for each; raises Unsupported for more than paths, NotFound for an unknown one."""
    if template is None:
        return Documents([dict(document) for document in documents])
    if re.search(r"\{\{", _FIELD.sub("", template)):
        raise Unsupported(f"templates are not supported beyond paths: {template!r}", "use {{.State.Status}} or {{json .Config}}")
    return Text("\n".join(_fill(template, document) for document in documents))


def _fill(template: str, document: Mapping[str, Any]) -> str:
    return _FIELD.sub(lambda match: _value(document, match[2], bool(match[1])), template)


def _value(document: Mapping[str, Any], path: str, as_json: bool) -> str:
    value: Any = document
    for name in filter(None, path.split(".")):
        if not isinstance(value, Mapping) or name not in value:
            raise NotFound(f"no field {name!r} in .{path}", "inspect without --format shows the fields")
        value = value[name]
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else "" if value is None else str(value)
