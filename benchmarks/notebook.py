"""What a user of a notebook waits for in a store of many images: the completion of a name, and `images`.

It must not know other engines: they complete nothing in a notebook.
"""

from __future__ import annotations

import io
import os
import statistics
import tarfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from benchmarks.many import timed
from labcontainers import Engine
from labcontainers.commands.table import execute, understand

IMAGES = 1000
ROUNDS = 15


def median_s(work: Callable[[], object]) -> float:
    """Of ROUNDS rounds after one that is not counted."""
    work()
    return statistics.median(timed(work) for _ in range(ROUNDS))


def fill(engine: Engine) -> None:
    """IMAGES images of one small file each, all with names of their own."""
    for number in range(IMAGES):
        with io.BytesIO() as data:
            with tarfile.open(fileobj=data, mode="w") as archive:
                member = tarfile.TarInfo("number")
                content = str(number).encode()
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            engine.images.import_image(data.getvalue(), f"course/exercise-{number % 100}", f"v{number}")


def with_many_images(folder: Path) -> str:
    """Both, as Markdown; the store in `folder` is the process' own from now on."""
    os.environ["LABCONTAINERS_ROOT"], os.environ["LABCONTAINERS_RUN"] = str(folder / "n"), str(folder / "nr")
    from IPython.core.completer import provisionalcompleter
    from IPython.core.interactiveshell import InteractiveShell

    from labcontainers import session

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "labcontainers")
    engine = session.current_engine()
    fill(engine)
    line = "%container run --rm course/exercise-4"

    def complete() -> int:
        with provisionalcompleter():
            return len(list(shell.Completer.completions(line, len(line))))

    complete_s = median_s(complete)
    if (found := complete()) < IMAGES // 100:
        raise RuntimeError(f"completion found {found} names")
    list_s = median_s(lambda: repr(execute(lambda: engine, understand(["images"]))))
    shell.run_line_magic("unload_ext", "labcontainers")
    session.close()
    return f"- With {IMAGES} images: completion of a name {report.milliseconds(complete_s)}, `images` {report.milliseconds(list_s)}."
