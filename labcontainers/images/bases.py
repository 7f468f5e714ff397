"""The embedded base images, made on first use from the host's own files: `lab/base`, and `lab/python` on top of it.

It must not run anything but the host's own busybox, and needs no network. The same host files give the same digest.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from labcontainers.errors import KernelFailed, Unsupported
from labcontainers.images import certificates, elf, linker
from labcontainers.images.rootfs_tree import RootTree
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

if TYPE_CHECKING:
    from labcontainers.images.catalog import Catalog
    from labcontainers.images.image import Image

BASE = "docker.io/lab/base:latest"
PYTHON = "docker.io/lab/python:latest"
NAMES = (BASE, PYTHON)

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREATED = "1970-01-01T00:00:00Z"
_PROGRAMS = (
    "[ awk base64 basename bash cat chmod chown cksum clear cmp comm cp cut date dd df diff dirname du echo env expr false find "
    "fold free getopt grep gunzip gzip head hostname id install ip join kill ln logname ls md5sum mkdir mkfifo mktemp mv nice nl "
    "nohup nproc od paste ping printenv printf ps pwd readlink realpath rm rmdir sed seq sh sha256sum shuf sleep sort split ss "
    "stat stty sync tac tail tar tee test timeout top touch tr true truncate tty uname uniq uptime wc which whoami xargs yes zcat"
).split()
# what the C library loads by name while a program runs: for the end of threads, and for names of users and hosts
_LOADED_LATER = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\nlab:x:1000:1000:lab:/home/lab:/bin/sh\n"
_GROUP = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\nlab:x:1000:\n"
_OS_RELEASE = 'NAME="labcontainers base"\nID=labcontainers\nPRETTY_NAME="labcontainers base image"\n'


def make(reference: str, catalog: Catalog, store: Store) -> Image:
    """Make the embedded image `reference` (one of NAMES); blocks for a second or two.

    Raises Unsupported naming what is missing, and KernelFailed when the store cannot be written.
    """
    if elf.read_elf(os.path.realpath(sys.executable)) is None:
        raise Unsupported(
            f"the base images are made of 64-bit little-endian ELF programs, and {sys.executable} is none", "build FROM another image"
        )
    try:
        with store.making():
            return _make_base(catalog, store) if reference == BASE else _make_python(catalog.get(BASE), catalog, store)
    except OSError as error:
        hint = f"the store at {store.paths.root} needs about 50 MB of room"
        raise KernelFailed("write", error.errno or 0, str(error.filename or reference), hint) from error


def _make_base(catalog: Catalog, store: Store) -> Image:
    def fill(tree: RootTree) -> str:
        _add_skeleton(tree)
        busybox = find_static_busybox()
        if busybox is not None and _add_busybox(tree, busybox):
            return f"busybox from {busybox}"
        _add_programs(tree)
        return "programs of this host with their libraries"

    layer, what = _commit(store, fill, ())
    history = (HistoryEntry(_CREATED, f"labcontainers base: {what}"),)
    return catalog.put(_config(("sh",), (layer.diff_id,), history), (layer,), (BASE,))


def _make_python(base: Image, catalog: Catalog, store: Store) -> Image:
    version = sysconfig.get_python_version()

    def fill(tree: RootTree) -> str:
        _add_python(tree)
        return f"Python {version} with its standard library"

    layer, what = _commit(store, fill, base.diff_ids)
    history = (*base.history, HistoryEntry(_CREATED, f"labcontainers python: {what}"))
    config = _config(("python3",), (*base.diff_ids, layer.diff_id), history)
    below = [Layer(info.diff_id, "", info.size_bytes) for info in base.layers]
    return catalog.put(config, (*below, layer), (PYTHON,))


def _config(cmd: tuple[str, ...], diff_ids: tuple[str, ...], history: tuple[HistoryEntry, ...]) -> ImageConfig:
    platform = host_platform()
    return ImageConfig(platform.architecture, platform.os, ProcessConfig(env=(_PATH,), cmd=cmd), diff_ids, history, _CREATED)


def _commit(store: Store, fill: Callable[[RootTree], str], parents: tuple[str, ...]) -> tuple[Layer, str]:
    scratch = store.snapshots.new_tree(parents)
    try:
        tree = RootTree(scratch / "fs")
        what = fill(tree)
        tree.finish()
        return store.snapshots.commit(scratch, parents), what
    except BaseException:
        store.snapshots.discard(scratch)
        raise


def _add_skeleton(tree: RootTree) -> None:
    for path in ("bin", "dev", "etc", "home/lab", "lib", "proc", "run", "sys", "usr/bin", "usr/lib", "usr/sbin", "var/log"):
        tree.directory(path)
    tree.directory("root", 0o700)
    for path in ("tmp", "var/tmp"):
        tree.directory(path, 0o1777)
    tree.symlink("usr/sbin", "sbin")
    for name, text in (("passwd", _PASSWD), ("group", _GROUP), ("os-release", _OS_RELEASE), ("shells", "/bin/sh\n")):
        tree.text(f"etc/{name}", text)
    tree.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    bundle = certificates.find_bundle()
    if bundle is not None:
        tree.copy(bundle, certificates.BUNDLE, 0o644)


def find_static_busybox() -> str | None:
    """The busybox on the PATH, if it is a static program."""
    for name in ("busybox.static", "busybox-static", "busybox"):
        path = shutil.which(name)
        headers = elf.read_elf(path) if path else None
        if path and headers is not None and headers.static:
            return path
    return None


def _add_busybox(tree: RootTree, busybox: str) -> bool:
    """Put it in under all its names; False, and nothing done, when it does not tell them or has no shell."""
    try:
        said = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True, env={}, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    listed = {path.lstrip("/") for path in said.split()}
    if "bin/sh" not in listed | {f"bin/{path}" for path in listed}:
        return False
    tree.copy(busybox, "bin/busybox", 0o755)
    for path in sorted({path if "/" in path else f"bin/{path}" for path in listed} - {"bin/busybox"}):
        if not os.path.lexists(tree.root / path):
            tree.symlink("/bin/busybox", path)
    return True


def _add_programs(tree: RootTree) -> None:
    search = f"{os.environ.get('PATH', '')}:/bin:/usr/bin:/sbin:/usr/sbin"
    files: dict[str, str] = {}
    for name in _PROGRAMS:
        path = shutil.which(name, path=search)
        if path is not None and _readable(path):
            files[name] = os.path.realpath(path)
    if "sh" not in files:
        raise Unsupported("this host has no shell to make lab/base of", "install busybox-static")
    for name, path in sorted(files.items()):
        tree.copy(path, f"bin/{name}", 0o755)
    _add_libraries(tree, sorted(set(files.values())))


def _add_libraries(tree: RootTree, programs: Iterable[str]) -> None:
    """Every library that these need, and their interpreters."""
    directories = linker.library_directories(library_path=os.environ.get("LD_LIBRARY_PATH", ""))
    for place, source in linker.dependencies(programs, directories, _LOADED_LATER).files.items():
        tree.copy(os.path.realpath(source), place.lstrip("/"), 0o755)


def _readable(path: str) -> bool:
    return os.access(path, os.R_OK) and stat.S_ISREG(os.stat(path).st_mode)


_LEFT_OUT = frozenset(
    ("__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter", "turtledemo")
)


def _add_python(tree: RootTree) -> None:
    """The running interpreter and its standard library below /usr/local, where it finds itself (getpath of CPython)."""
    interpreter = os.path.realpath(sys.executable)
    variables = {"base": sys.base_prefix, "installed_base": sys.base_prefix}
    stdlib = os.path.realpath(sysconfig.get_path("stdlib", vars=variables))
    version = f"python{sysconfig.get_python_version()}"
    tree.copy(interpreter, f"usr/local/bin/{version}", 0o755)
    for name in ("python3", "python"):
        tree.symlink(version, f"usr/local/bin/{name}")
    binaries = [interpreter]
    for folder, folders, files in os.walk(stdlib):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("config-"))
        target = os.path.normpath(f"usr/local/{sys.platlibdir}/{version}/{os.path.relpath(folder, stdlib)}")
        for name in sorted(files):
            source = os.path.join(folder, name)
            if name.endswith((".pyc", ".a", ".whl")) or not _readable(source):
                continue
            tree.copy(source, f"{target}/{name}", 0o644)
            if ".so" in name:
                binaries.append(source)
    _add_libraries(tree, binaries)
    _add_trust(tree)


def _add_trust(tree: RootTree) -> None:
    """Let the interpreter's OpenSSL find the authorities of lab/base where it was built to look."""
    place = certificates.openssl_file()
    if os.path.isabs(place) and place != f"/{certificates.BUNDLE}":
        tree.symlink(f"/{certificates.BUNDLE}", os.path.normpath(place).lstrip("/"))
