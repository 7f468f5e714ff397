"""What Docker's `--format` makes of documents and of tables.

It must not know what they describe.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labcontainers.commands.listing import Listing, Text, align
from labcontainers.commands.template import Template

Fields = Mapping[str, Callable[[Any], Any]]


class Documents(list[dict[str, Any]]):
    """JSON documents, printed indented."""

    def __repr__(self) -> str:
        return json.dumps(list(self), indent=4, ensure_ascii=False)


def format_document(documents: Sequence[Mapping[str, Any]], template: str | None) -> Any:
    """The documents, or the template filled in for each ("json" is one line for each). Raises as commands.template does."""
    if template is None:
        return Documents([dict(document) for document in documents])
    parsed = Template("{{json .}}" if template == "json" else template)
    return Text("\n".join(parsed.render(document) for document in documents))


def format_rows(items: Sequence[Any], columns: Mapping[str, Callable[[Any], str]], fields: Fields, template: str | None) -> Any:
    """A listing with `columns`, or the template filled in for each item with `fields`; `table …` puts the columns' heads above."""
    if template is None or template == "table":
        return Listing(items, columns)
    body = template.removeprefix("table ") if template.startswith("table ") else template
    parsed = Template("{{json .}}" if body == "json" else body)
    lines = [parsed.render({name: of(item) for name, of in fields.items()}) for item in items]
    if body != template:
        heads = {name: _head(name) for name in fields}
        lines = align([line.split("\t") for line in (parsed.render(heads), *lines)])
    return Text("\n".join(lines))


def _head(field: str) -> Any:
    """`CreatedAt` as the head of a column: "CREATED AT"; a method's is its argument."""
    if field == "Label":
        return lambda key: key
    known = {"ID": "ID", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET I/O", "PIDs": "PIDS"}
    known |= {"BlockIO": "BLOCK I/O", "RunningFor": "CREATED"}
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in field).strip()
    return known.get(field, spaced.upper())
