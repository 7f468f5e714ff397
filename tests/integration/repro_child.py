"""Builds one Dockerfile on a store of its own and prints the image's id: for whoever compares builds of different users and places.

Arguments: the store's root, the context folder, and the Dockerfile's path.
"""

from __future__ import annotations

import sys
from pathlib import Path

from labcontainers import Engine


def main(root: str, context: str, dockerfile: str) -> None:
    with Engine(root=Path(root)) as engine:
        built = engine.images.build(context, dockerfile_text=Path(dockerfile).read_text(), network="none")
        print(built.image.id, *built.image.diff_ids)


if __name__ == "__main__":
    main(*sys.argv[1:])
