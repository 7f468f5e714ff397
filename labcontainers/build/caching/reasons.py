"""Why a step of a build was not in the cache, in words: what it depended on the last time, compared with now.

It must not know the store, nor how a step is carried out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Inputs = Mapping[str, str | Mapping[str, str]]

NEVER = "never done here before"
PRUNED = "pruned: what it made was removed"
# What a step depends on, by names that a reader understands. The files of a mount are under FILES_OF_MOUNT and its target.
COMMAND, ENVIRONMENT, FILES, HERE_DOCUMENTS, TIME = "the command", "the environment", "the files", "here-documents", "the time"
FILES_OF_MOUNT = "the files of the mount "
_MOST_TOLD = 3
# What is remembered of a long list of files is packed, and of a still longer one only that it changed is known.
_PACKED_FROM = 100
_MOST_FILES = 50_000
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Subject:
    """The step that is told of: its instruction's `keyword` and `text`, the variables that are `arguments`, where it copies files `origin`.

    `base` is what its stage stands on, by name and by the id of the image, both "" for none; `changed_by` is the step before it in the
    stage whose files changed in this build, "" while none did.
    """

    keyword: str
    text: str = ""
    arguments: frozenset[str] = frozenset()
    origin: str = ""
    base: tuple[str, str] = ("", "")
    changed_by: str = ""


def remembered(parent: str, inputs: Inputs, subject: Subject) -> dict[str, Any]:
    """What is kept for the next comparison, for JSON; of contents only digests are in it."""
    plain = {name: value if isinstance(value, str) else _packed(value) for name, value in inputs.items()}
    return {"parent": parent, "base": list(subject.base), "arguments": sorted(subject.arguments), "inputs": plain}


def why(before: Mapping[str, Any], parent: str, inputs: Inputs, subject: Subject) -> str:
    """What changed since `before`, which is of remembered(), or "" for nothing; raises KeyError, TypeError, ValueError for another one."""
    found = list(_differences(before, inputs, subject))
    moved = _moved(before, subject)
    if moved:
        found.append(moved)
    if not found and before["parent"] != parent:
        return subject.changed_by or "what it builds on changed"
    return "; ".join(found)


def _moved(before: Mapping[str, Any], subject: Subject) -> str:
    old_name, old_id = before["base"]
    name, now = subject.base
    if (old_name, old_id) == (name, now):
        return ""
    return f"base moved ({name} is another image now)" if old_name == name else f"FROM changed: {name or 'scratch'}"


def _differences(before: Mapping[str, Any], inputs: Inputs, subject: Subject) -> Iterable[str]:
    old: Mapping[str, Any] = before["inputs"]
    known = subject.arguments.union(before["arguments"])
    for name in sorted({*old, *inputs}):
        then, now = old.get(name), inputs.get(name)
        if isinstance(now, str) or now is None:
            if then != now:
                yield _text_changed(name, subject)
        elif then != (packed := _packed(now)):
            unpacked = _unpacked(then) if then is not None else {}
            yield from _entries_changed(name, unpacked, _short(now) if not _is_plain(packed) else dict(now), subject, known)


def _text_changed(name: str, subject: Subject) -> str:
    if name == TIME:
        return "SOURCE_DATE_EPOCH changed"
    if name == FILES:
        return f"{subject.keyword}: the files of {subject.origin or 'the context'} changed"
    return f"{subject.keyword}: {name} changed"


def _entries_changed(
    name: str, old: Mapping[str, str] | None, now: Mapping[str, str], subject: Subject, arguments: Iterable[str]
) -> Iterable[str]:
    if old is None:
        yield f"{subject.keyword}: {name} changed"
        return
    # a list that was packed has short digests, one that was not whole ones
    if any(_is_short(value) for value in old.values()):
        now = _short(now)
    elif any(_is_short(value) for value in now.values()):
        old = _short(old)
    changed = [key for key in sorted({*old, *now}) if old.get(key) != now.get(key)]
    told = [f"{_called(name, key, subject, arguments)} {_how(name, old.get(key), now.get(key))}" for key in changed[:_MOST_TOLD]]
    if len(changed) > _MOST_TOLD:
        told[-1] += f" and {len(changed) - _MOST_TOLD} more"
    yield from told


def _called(name: str, key: str, subject: Subject, arguments: Iterable[str]) -> str:
    if name == ENVIRONMENT:
        return f"{'ARG' if key in arguments else 'ENV'} {key}"
    if name == HERE_DOCUMENTS:
        return f"{subject.keyword}: the here-document {key}"
    if name.startswith(FILES_OF_MOUNT):
        return f"{subject.keyword}: {key} of the mount {name.removeprefix(FILES_OF_MOUNT)}"
    return f"{subject.keyword}: {key}" + (f" of {subject.origin}" if subject.origin and name == FILES else "")


def _how(name: str, old: str | None, now: str | None) -> str:
    if old is None:
        return "is new"
    if now is None:
        return "is gone"
    # of a file there is its mode, and the digest of what is in it
    is_file = name == FILES or name.startswith(FILES_OF_MOUNT)
    return "has another mode" if is_file and old.partition(" ")[2] == now.partition(" ")[2] != "" else "changed"


# --- long lists


def _short(entries: Mapping[str, str]) -> dict[str, str]:
    """The same with digests of the values that are long enough to tell them apart."""
    return {key: value if _is_short(value) else _shortened(value) for key, value in entries.items()}


def _shortened(value: str) -> str:
    mode, _, rest = value.partition(" ")
    return f"{mode} ~{hashlib.sha256(rest.encode('utf-8', 'surrogateescape')).hexdigest()[:_DIGITS]}"


def _is_short(value: str) -> bool:
    return value.partition(" ")[2].startswith("~")


def _packed(entries: Mapping[str, str]) -> dict[str, str] | str:
    if len(entries) < _PACKED_FROM:
        return dict(entries)
    text = json.dumps(_short(entries), sort_keys=True).encode()
    if len(entries) > _MOST_FILES:
        return "sha256:" + hashlib.sha256(text).hexdigest()
    return "zlib:" + base64.b85encode(zlib.compress(text, 1)).decode()


def _is_plain(packed: object) -> bool:
    return isinstance(packed, dict)


def _unpacked(packed: object) -> Mapping[str, str] | None:
    """The entries again; None for a list that was too long."""
    if isinstance(packed, str):
        if not packed.startswith("zlib:"):
            return None
        try:
            packed = json.loads(zlib.decompress(base64.b85decode(packed.removeprefix("zlib:"))))
        except zlib.error as error:
            raise ValueError(str(error)) from None
    if not isinstance(packed, dict):
        raise TypeError("not a list of files")
    return packed
