"""What the words of a line may be, by kind: names of the store, folders, signals, platforms, parts of --mount.

It must not start an engine: names come from the one that runs, if there is one. It must be quick where there are thousands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

EMBEDDED = ("lab/base", "lab/python")
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x")


def beginning_with(names: Iterable[str], beginning: str) -> list[str]:
    """Those that begin so, each once, sorted."""
    return sorted({name for name in names if name.startswith(beginning)})


def names(kinds: str, beginning: str) -> list[str]:
    """All that fit one of the `kinds`, a text of words; `beginning` is what is written already, which tells which folder is meant."""
    return [name for kind in kinds.split() for name in (KINDS[kind](beginning) if kind in KINDS else ())]


def _engine() -> Any:
    from labcontainers import session

    return session.existing_engine()


def _containers(beginning: str) -> list[str]:
    engine = _engine()
    return [] if engine is None else list(engine.store.records.list_container_names())


def _joined(beginning: str) -> list[str]:
    """`container:NAME`, once that much is written."""
    return [f"container:{name}" for name in _containers("")] if beginning.startswith("container:") else ["container:"]


def _volumes(beginning: str) -> list[str]:
    engine = _engine()
    return [] if engine is None else [row.name for row in engine.store.records.list_volumes()]


def _networks(beginning: str) -> list[str]:
    engine = _engine()
    return ["bridge", "host", "none"] if engine is None else [network.name for network in engine.networks.list()]


def _images(beginning: str) -> list[str]:
    engine = _engine()
    if engine is None:
        return list(EMBEDDED)
    return [*map(_familiar, engine.store.records.list_references()), *EMBEDDED]


@lru_cache(1 << 13)
def _familiar(reference: str) -> str:
    """A canonical reference as people write it."""
    from labcontainers.oci.reference import parse_reference

    parsed = parse_reference(reference)
    return parsed.repository if parsed.tag == "latest" else parsed.familiar


def _commands(beginning: str) -> list[str]:
    from labcontainers.commands.table import COMMANDS

    return [name.partition(" ")[0] for name in COMMANDS]


def _drafts(beginning: str) -> list[str]:
    from labcontainers.build.drafts import DRAFTS

    return [draft.name for draft in DRAFTS.list()]


def _languages(beginning: str) -> list[str]:
    from labcontainers.containers.sessions.dialects import LANGUAGES

    return list(LANGUAGES)


def _signals(beginning: str) -> list[str]:
    """Without SIG, unless that is written; as kill(1) has them."""
    import signal

    prefix = "SIG" if beginning.upper().startswith("SIG") else ""
    return [prefix + number.name.removeprefix("SIG") for number in signal.Signals]


def _platform(beginning: str) -> list[str]:
    from labcontainers.oci.descriptor import host_platform

    here = host_platform()
    return [f"{here.os}/{here.architecture}"]


def _mount(beginning: str) -> list[str]:
    from labcontainers.containers.options.mount import TYPES

    known = {
        "bind": ("source=", "target=", "readonly", "bind-propagation=", "bind-recursive="),
        "volume": ("source=", "target=", "readonly", "volume-nocopy", "volume-subpath="),
        "tmpfs": ("target=", "tmpfs-size=", "tmpfs-mode="),
        "image": ("source=", "target=", "image-subpath="),
    }
    sources = {"bind": "path", "volume": "volume", "image": "image"}
    return parts_of_mount(beginning, {kind: known[kind] for kind in TYPES}, {kind: {"source": sources[kind]} for kind in sources})


def parts_of_mount(beginning: str, keys: Mapping[str, Iterable[str]], values: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What may follow in `type=…,key=value,…`: types, the keys of the type, and for some keys of `values` names of a kind."""
    before, comma, part = beginning.rpartition(",")
    said = dict(pair.partition("=")[::2] for pair in before.split(",")) if before else {}
    key, equals, value = part.partition("=")
    base = before + comma
    if key == "type" and equals:
        return [f"{base}type={kind}" for kind in keys]
    kind = said.get("type", "")
    if equals:
        wanted = values.get(kind, {}).get({"src": "source"}.get(key, key), "")
        return [f"{base}{key}={name}" for name in names(wanted, value)]
    left = [name for name in keys.get(kind, ()) if name.rstrip("=") not in said]
    return [f"{base}{name}" for name in ([*left] if kind else ["type="])]


def paths(beginning: str, root: Path | None = None, shown: Callable[[str], bool] = lambda path: True) -> list[str]:
    """What is in the folder that `beginning` names, below `root`; `shown` says of a path whether it counts. Folders end with /."""
    folder, _, _ = beginning.rpartition("/")
    base = f"{folder}/" if folder or beginning.startswith("/") else ""
    where = Path(base or ".").expanduser() if root is None else root / base.lstrip("/")
    try:
        with os.scandir(where) as entries:
            found = [f"{base}{entry.name}{'/' if entry.is_dir() else ''}" for entry in entries]
    except OSError:
        return []
    return sorted(path for path in found if shown(path.strip("/")))


KINDS: dict[str, Callable[[str], Iterable[str]]] = {
    "container": _containers,
    "joined": _joined,
    "volume": _volumes,
    "network": _networks,
    "image": _images,
    "command": _commands,
    "draft": _drafts,
    "language": _languages,
    "signal": _signals,
    "platform": _platform,
    "platforms": lambda beginning: _PLATFORMS,
    "mount": _mount,
    "path": paths,
}
