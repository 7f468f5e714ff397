"""The last step of the Binder image: JupyterLab opens the first lesson, and the embedded images are made where the builder allows that.

It must not fail where namespaces are forbidden, as in most builders: then the images are made when a lesson first wants them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from labcontainers import Engine, LabError

FIRST_LESSON = "/lab/tree/notebooks/01-first-container.ipynb"


def open_the_first_lesson() -> Path:
    """Write the settings that make it JupyterLab's first page; the file."""
    settings = Path(sys.prefix) / "etc" / "jupyter" / "jupyter_lab_config.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"LabApp": {"default_url": FIRST_LESSON}}, indent=2) + "\n")
    return settings


def make_images() -> None:
    """Make lab/base and lab/python, or say why not."""
    with Engine() as engine:
        report = engine.doctor()
        print(report)
        for name in ("lab/base", "lab/python"):
            try:
                print(f"{name}: {engine.images.get(name).id}")
            except LabError as error:
                print(f"{name} is not made yet: {error}")


if __name__ == "__main__":
    print(f"JupyterLab begins with {FIRST_LESSON}: {open_the_first_lesson()}")
    make_images()
