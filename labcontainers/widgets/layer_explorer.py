"""The layer explorer: an image's layers and what they waste, the files of each, searches, and a comparison with another image.

A page asks, and the thread `lab-layers` answers, since a worker may have to read trees for it; it ends when nothing is left to answer.
It must not know comms or HTML: those are plumbing's and images.exploration's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from labcontainers.errors import InvalidArgument
from labcontainers.images.exploration import Exploration, Explored, exploration_html, exploration_text, instruction
from labcontainers.images.file_table import FileTable, LayerFile
from labcontainers.images.files import MARKS, Files, shown_path
from labcontainers.units import format_bytes
from labcontainers.widgets.messages import (
    Answer,
    ChangeCounts,
    ComparedImages,
    ExploredImage,
    Failure,
    FileRow,
    Question,
    WastedFiles,
    failure_of,
)
from labcontainers.widgets.questions import Questions
from labcontainers.widgets.snapshot import Snapshot

if TYPE_CHECKING:
    from labcontainers.images.layers import Wasted
    from labcontainers.widgets.card import Surface
    from labcontainers.widgets.plumbing import LiveWidget

BEAT_S = 0.125
# rows in one answer, and what else a page gets at most
ROWS = 200
WASTED_SHOWN = 50
CONFIG_SHOWN = 60
OTHERS_SHOWN = 500
_LONGEST_VALUE = 300
_SURVEY = ""


class LayerExplorer:
    """One image. Every method is thread-safe."""

    role = "layers"

    def __init__(self, image: Explored) -> None:
        self._image = image
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._facts = _facts(image)
        self._changes: dict[int, ChangeCounts] = {}
        self._waste: Wasted | None = None
        self._comparison: ComparedImages | None = None
        self._failure: Failure | None = None
        # the empty one stands for what is told unasked
        self._questions = Questions("lab-layers", self._answer_one)
        self._surveyed = False

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    # --- what a page or a display says (plumbing.Owner)

    def everything(self) -> dict[str, Any]:
        with self._lock:
            return {
                "image": self._facts,
                "changes": [[index, *counts] for index, counts in self._changes.items()],
                "wasted": _wasted(self._waste) if self._waste is not None else None,
                "comparison": self._comparison,
                "failure": self._failure,
            }

    def replay(self) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.resend(self.everything())

    def watch(self, page: str, views: int) -> None:
        """An answer tells the page that the kernel is there."""
        if views > 0:
            self._send({})

    def shown(self) -> None:
        """Look through all layers, once."""
        with self._lock:
            if not self._surveyed:
                self._surveyed = True
                self._questions.ask(_SURVEY)

    def act(self, action: str) -> None:
        """A page asks something (messages.Question)."""
        if action:
            self._questions.ask(action)

    def snapshot(self) -> Snapshot:
        with self._lock:
            counts = {index: dict(zip(("added", "modified", "removed"), found, strict=True)) for index, found in self._changes.items()}
            return Snapshot(*(form(self._image, counts, self._waste) for form in (exploration_text, exploration_html)))

    def close(self) -> None:
        """Answer no more; blocks until the thread has ended."""
        self._questions.close()

    # --- the thread

    def _answer_one(self, question: str) -> None:
        try:
            if question == _SURVEY:
                self._survey()
            else:
                self._send({"answers": [self._answer(question)]})
        except Exception as error:
            # whatever went wrong is the reader's to see, and must not end the answers
            self._set(failure=failure_of(error))

    def _survey(self) -> None:
        """Count what each layer changes, and what is wasted, telling it as it is known, but not too often."""
        fresh: list[list[int]] = []
        sent_at = time.monotonic()
        for layer in self._image.layers:
            if self._questions.closed:
                return
            counts = layer.files.table.changes(-1)
            with self._lock:
                self._changes[layer.index] = counts
            fresh.append([layer.index, *counts])
            if time.monotonic() - sent_at >= BEAT_S:
                self._send({"changes": fresh})
                fresh, sent_at = [], time.monotonic()
            # what a reader asks comes first
            self._answer_waiting()
        waste = self._image.wasted
        with self._lock:
            self._waste = waste
        self._send({"changes": fresh, "wasted": _wasted(waste)})
        if self._surface is not None:
            self._surface.keep(in_output=True)

    def _answer_waiting(self) -> None:
        while (question := self._questions.take()) is not None:
            self._send({"answers": [self._answer(question)]})

    def _answer(self, text: str) -> Answer:
        try:
            question: Question = json.loads(text)
            rows, total = self._found(question)
            return {"question": text, "rows": rows, "total": total, "failure": None}
        except Exception as error:
            # the page shows it in place of what it asked for
            return {"question": text, "rows": [], "total": 0, "failure": failure_of(error)}

    def _found(self, question: Question) -> tuple[list[FileRow], int]:
        ask = question["ask"]
        if ask == "compare":
            self._compare(question["other"])
            return [], 0
        table = self._table(question["source"])
        if ask == "folder":
            return _folder(table, question["row"], question["start"])
        if ask == "search":
            return _search(table, question["text"], question["changes"])
        raise InvalidArgument(f"the page asks what is not known: {ask!r}", "load the page again")

    def _table(self, source: str) -> FileTable:
        kind, _, name = source.partition(" ")
        if kind == "layer":
            return self._image.layers[int(name)].files.table
        return self._image.diff(name).files.table

    def _compare(self, other: str) -> None:
        if not other:
            self._set(comparison=None)
            return
        diff = self._image.diff(other)
        files = diff.files
        compared: ComparedImages = {
            "other": other,
            "shared_layers": len(diff.shared),
            "other_layers": len(diff.after.layers),
            "size_bytes": diff.size_bytes,
            "changes": files.table.changes(-1),
            "config": [(found.field, _short(found.before), _short(found.after)) for found in diff.config[:CONFIG_SHOWN]],
        }
        self._set(comparison=compared)

    # --- out

    def _set(self, **changes: Any) -> None:
        with self._lock:
            for name, value in changes.items():
                setattr(self, f"_{name}", value)
            self._send(changes)

    def _send(self, data: Mapping[str, Any]) -> None:
        with self._lock:
            if self._surface is not None and not self._questions.closed:
                self._surface.update(data)


def _facts(image: Explored) -> ExploredImage:
    return {
        "id": image.id,
        "name": image.name,
        "size_bytes": image.size_bytes,
        "layers": [
            {
                "index": layer.index,
                "diff_id": layer.diff_id,
                "size_bytes": layer.size_bytes,
                "created_by": instruction(layer.created_by),
                "created": layer.created,
            }
            for layer in image.layers
        ],
        "others": image.others()[:OTHERS_SHOWN],
    }


def _wasted(wasted: Wasted) -> WastedFiles:
    files = [
        (shown_path(file.path), file.size_bytes, str(file).removeprefix(f"{shown_path(file.path)}: ")) for file in wasted[:WASTED_SHOWN]
    ]
    return {"size_bytes": wasted.size_bytes, "total_bytes": wasted.total_bytes, "count": len(wasted), "files": files}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    text = shown_path(text)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _folder(table: FileTable, row: int, start: int) -> tuple[list[FileRow], int]:
    """What a directory holds, from number `start` on, and how much it holds altogether."""
    if not -1 <= row < len(table):
        raise InvalidArgument(f"the listing has no row {row}", "load the page again")
    rows, first = [], max(0, start)
    total = 0
    for total, place in enumerate(table.children(row), 1):
        if first < total <= first + ROWS:
            rows.append(_row(table, place, table.file(place).name))
    return rows, total


def _search(table: FileTable, text: str, changes: Iterable[str]) -> tuple[list[FileRow], int]:
    """Files whose path has this text in it, in any case, or that match it as a pattern; of these changes, if there are any."""
    wanted = set(changes) & set(MARKS)
    if any(letter in text for letter in "*?["):
        places: Iterable[int] = Files(table).glob(text).rows
    else:
        plain = text.casefold()
        places = (place for place in range(len(table)) if plain in table.path(place).casefold())
    rows, total = [], 0
    for place in places:
        if not wanted or table.change(place) in wanted:
            total += 1
            if total <= ROWS:
                rows.append(_row(table, place, table.path(place)))
    return rows, total


def _row(table: FileTable, place: int, name: str) -> FileRow:
    file: LayerFile = table.file(place)
    below = table.changes(place)
    # what is there, else what is gone of it
    size = table.size_bytes(place) or -table.removed_bytes(place)
    owner = f"{file.uid}:{file.gid}"
    link = f"{file.link}{file.device}"
    differs = list(file.differs)
    if file.change == "modified" and "content" in differs:
        differs.append(f"was {format_bytes(file.replaced_bytes)}")
    return (place, shown_path(name), file.kind, file.permissions, owner, size, file.change, shown_path(link), below, differs)


def show_image(image: Explored) -> LiveWidget:
    """The live explorer of an image, to be displayed: the same while it is open. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import OPEN, LiveWidget

    return OPEN.find_or_open(f"layers of {image.id} {image.name}", lambda: LiveWidget(LayerExplorer(image)))


def show_exploration(exploration: Exploration) -> LiveWidget:
    """The live explorer of the image that is to be looked into; as show_image()."""
    return show_image(exploration.image)
