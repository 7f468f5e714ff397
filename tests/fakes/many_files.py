"""What a layer of very many files costs, each verb on it in a process of its own: seconds of CPU, and the most memory that the process had.

As a program: FOLDER FILES FILES_PER_DIRECTORY gives one object of JSON, {verb: [CPU seconds, bytes]}. The folder is emptied at the end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labcontainers.containers.files.changes import Comparison
from labcontainers.images.file_table import FileTable
from labcontainers.images.files import Files
from labcontainers.images.layers import ImageLayer
from labcontainers.images.tree_listing import compare, list_layer
from labcontainers.store.tar_writer import file_header
from labcontainers.store.trees import measure
from labcontainers.store.unpack import unpack
from labcontainers.widgets.layer_explorer import ROWS, LayerExplorer


class ManyFiles:
    """A layer of `files` empty files in directories of `per_directory`; every verb takes it in once."""

    def __init__(self, folder: Path, files: int, per_directory: int) -> None:
        self.files = files
        self.per_directory = per_directory
        self.rows = files + -(-files // per_directory)
        self.tree, self.empty, self.listing = folder / "tree", folder / "empty", folder / "listing"
        self.tree.mkdir()
        self.empty.mkdir()

    def headers(self) -> Iterator[bytes]:
        """The layer as a tar."""
        for number in range(self.files):
            directory = f"d{number // self.per_directory:05}/"
            if number % self.per_directory == 0:
                yield file_header(directory)
            yield file_header(f"{directory}f{number:07}")
        yield b"\0" * 1024

    # --- the verbs

    def apply(self) -> None:
        ours, theirs = os.pipe()
        sender = threading.Thread(target=self._send, args=(theirs,))
        sender.start()
        done = unpack(ours, target=str(self.tree), userxattr=True, single_id=True)
        sender.join()
        assert done["entries"] == self.rows

    def _send(self, fd: int) -> None:
        with open(fd, "wb", buffering=1 << 20) as file:
            for header in self.headers():
                file.write(header)

    def create(self) -> None:
        assert measure(str(self.tree))["size_bytes"] > 512 * self.rows

    def diff(self) -> None:
        below = os.open(self.empty, os.O_RDONLY | os.O_DIRECTORY)
        assert sum(1 for _ in Comparison([]).changes([str(self.tree)], below)) == self.rows

    def list(self) -> None:
        list_layer(str(self.tree), [str(self.empty)], str(self.listing))

    def compare(self) -> None:
        compare([str(self.empty)], [str(self.tree)], False, f"{self.listing}.compared")
        assert len(FileTable(Path(f"{self.listing}.compared"))) == self.rows

    def look(self) -> None:
        files = Files(FileTable(self.listing))
        last = files[-1]
        assert len(files) == sum(1 for _ in files) == len(files.changed("added")) == self.rows
        assert files[last.path] == last
        assert len(files.glob("f*7")) == self.files // 10
        assert repr(files)
        assert files.tree()

    def explore(self) -> None:
        contents: Any = SimpleNamespace(layer=lambda diff_ids: FileTable(self.listing))
        layer = ImageLayer(0, "sha256:0", "sha256:0", 0, "", "", (), contents)
        waste = SimpleNamespace(size_bytes=0, total_bytes=0)
        image: Any = SimpleNamespace(id="0", name="many", size_bytes=0, layers=(layer,), wasted=waste, others=list)
        answers: list[Any] = []
        heard = threading.Event()

        def update(data: Any) -> None:
            answers.extend(data.get("answers", ()))
            heard.set()

        surface: Any = SimpleNamespace(update=update)
        explorer = LayerExplorer(image)
        explorer.show_on(surface)
        for question in (
            {"ask": "search", "source": "layer 0", "text": "f", "changes": ["added"]},
            {"ask": "folder", "source": "layer 0", "row": 0, "start": self.per_directory - ROWS},
        ):
            heard.clear()
            explorer.act(json.dumps(question))
            assert heard.wait(600)
        explorer.close()
        assert [(len(answer["rows"]), answer["total"]) for answer in answers] == [(ROWS, self.files), (ROWS, self.per_directory)]


VERBS = ("apply", "create", "diff", "list", "compare", "look", "explore")


def cost(verb: Callable[[], None]) -> tuple[float, int]:
    """Seconds of CPU and bytes at most that a process needs for it."""
    ours, theirs = os.pipe()
    if os.fork() == 0:
        try:
            began = time.process_time()
            verb()
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
            assert peak is not None
            os.write(theirs, json.dumps((time.process_time() - began, int(peak[1]) * 1024)).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(theirs)
    os.wait()
    with open(ours, "rb") as file:
        seconds, size_bytes = json.load(file)
    return seconds, size_bytes


def main(folder: Path, files: int, per_directory: int) -> None:
    try:
        layer = ManyFiles(folder, files, per_directory)
        print(json.dumps({name: cost(getattr(layer, name)) for name in VERBS}))
    finally:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
