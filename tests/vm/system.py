"""The file system of the virtual machine: lab/python as it is, with this package and the checks in it.

It must not know how the machine is started.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from labcontainers import Engine
from labcontainers.images import linker

HOUSE = Path(__file__).resolve().parents[2]
PROGRAMS = ("newuidmap", "newgidmap")
# of the standard library, only what an engine imports is worth compiling ahead: the machine is slow, and compiles the rest itself
COMPILED = (
    "asyncio",
    "collections",
    "concurrent",
    "ctypes",
    "email",
    "encodings",
    "importlib",
    "json",
    "logging",
    "multiprocessing",
    "re",
    "urllib",
)
PASSWD = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/homes/user:/bin/sh\n"


def make_tree(tree: Path, store: Path, busybox: Path) -> None:
    """Fill `tree`; the images are made in an engine at `store`, whose layers it is copied from."""
    with Engine(root=store, run_root=store / "run") as engine:
        layers = [engine.store.snapshots.lower_paths(engine.images.get(name).diff_ids)[0] for name in ("lab/base", "lab/python")]
        for layer in layers:
            shutil.copytree(layer, tree, symlinks=True, dirs_exist_ok=True)
    (tree / "bin/busybox").unlink(missing_ok=True)
    shutil.copy(busybox, tree / "bin/busybox")
    (tree / "etc/passwd").write_text(PASSWD)
    for name in ("subuid", "subgid"):
        (tree / "etc" / name).write_text("user:100000:65536\n")
    add_programs(tree)
    add_packages(tree)
    (tree / "lab/context").mkdir()


def add_programs(tree: Path) -> None:
    """The two setuid programs with their libraries."""
    found = [path for name in PROGRAMS if (path := shutil.which(name, path="/usr/bin:/bin")) is not None]
    libraries = linker.dependencies(found, linker.library_directories())
    assert not libraries.missing, libraries
    for place, source in [*((path, path) for path in found), *libraries.files.items()]:
        target = tree / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(source, target)


def add_packages(tree: Path) -> None:
    """This package, pyroute2 and the checks below /lab, compiled."""
    for name in ("labcontainers", "pyroute2"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(os.path.dirname(spec.origin), tree / "lab" / name, ignore=shutil.ignore_patterns("__pycache__", "static", "dhcp"))
    for name in ("first_process.py", "checks.py", "oci_checks.py"):
        shutil.copy(Path(__file__).parent / name, tree / "lab")
    stdlib = next((tree / "usr/local" / sys.platlibdir).glob("python3*"))
    compileall.compile_dir(tree / "lab", quiet=1, stripdir=str(tree))
    compileall.compile_dir(stdlib, maxlevels=0, quiet=1, stripdir=str(tree))
    for name in COMPILED:
        compileall.compile_dir(stdlib / name, quiet=1, stripdir=str(tree))
