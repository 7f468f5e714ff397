"""What may come next in the text of a `%%dockerfile` cell: instructions, their flags, stages, images and files of the context.

It must not build anything, nor complain: a text that is not complete yet is what it is about.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labcontainers.errors import LabError
from labcontainers.magics.names import beginning_with, names, parts_of_mount, paths

_STAGE = re.compile(r"^\s*FROM\s.*\sAS\s+(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_PLATFORM_VARIABLES = ("$BUILDPLATFORM", "$TARGETPLATFORM")


def words_at(lines: Sequence[str], arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What is written of the word at the end of the last of `lines`, and what fits there; `arguments` are those of the build."""
    from labcontainers.build.dockerfile.instructions import flags_of, keywords

    *given, word = _words_of_instruction(lines)
    if given and given[0].upper() == "ONBUILD":
        given = given[1:]
    if not given:
        return word, beginning_with(keywords(), word.upper()) if word else []
    keyword, rest = given[0].upper(), given[1:]
    if word.startswith("-") and all(other.startswith("-") for other in rest):
        return word, beginning_with(_flag_words(keyword, word, flags_of(keyword), lines, arguments), word)
    said = [other for other in rest if not other.startswith("--")]
    if keyword == "FROM":
        offered = [*_stages(lines, arguments), *names("image", word)] if not said else ["AS"] if len(said) == 1 else []
        return word, beginning_with(offered, word.upper() if said else word)
    if keyword in ("COPY", "ADD"):
        stage = any(other.startswith("--from=") for other in rest)
        return word, [] if stage else beginning_with(_context_files(word, arguments), word)
    if keyword == "STOPSIGNAL":
        return word, beginning_with(names("signal", word or "SIG"), word)
    if keyword == "HEALTHCHECK" and not said:
        return word, beginning_with(("CMD", "NONE"), word.upper())
    return "", []


def _words_of_instruction(lines: Sequence[str]) -> list[str]:
    """The words of the instruction that the last line belongs to; the last one is empty after a blank."""
    first = len(lines) - 1
    while first > 0 and lines[first - 1].rstrip().endswith("\\"):
        first -= 1
    text = " ".join(line.rstrip().removesuffix("\\") for line in lines[first:-1])
    whole = f"{text} {lines[-1]}".lstrip() if text else lines[-1].lstrip()
    return re.split(r"\s+", whole)


def _flag_words(keyword: str, word: str, flags: Mapping[str, str], lines: Sequence[str], arguments: Mapping[str, Any]) -> list[str]:
    name, equals, value = word.removeprefix("--").partition("=")
    if not equals:
        return [f"--{flag}" if kind == "bool" else f"--{flag}=" for flag, kind in flags.items()]
    return [f"--{name}={found}" for found in _values_of(keyword, name, value, lines, arguments)] if name in flags else []


def _values_of(keyword: str, name: str, value: str, lines: Sequence[str], arguments: Mapping[str, Any]) -> list[str]:
    if name == "from":
        return [*_stages(lines, arguments), *_contexts(arguments), *names("image", value)]
    if name == "platform":
        return [*names("platform", value), *_PLATFORM_VARIABLES]
    if keyword == "RUN" and name == "mount":
        from labcontainers.build.run_mounts import MOUNT_KEYS

        bare = ("readonly", "readwrite", "required")
        keys = {kind: [key if key in bare else f"{key}=" for key in sorted(known)] for kind, known in MOUNT_KEYS.items()}
        _, _, part = value.rpartition(",")
        if part.startswith("from="):
            base = value[: len(value) - len(part)]
            return [f"{base}from={found}" for found in (*_stages(lines, arguments), *_contexts(arguments), *names("image", part[5:]))]
        if part.startswith("sharing="):
            return [f"{value[: len(value) - len(part)]}sharing={word}" for word in ("shared", "private", "locked")]
        return parts_of_mount(value, keys, {})
    return {"network": ["default", "none", "host"], "security": ["sandbox", "insecure"], "checksum": ["sha256:"]}.get(name, [])


def _stages(lines: Sequence[str], arguments: Mapping[str, Any]) -> list[str]:
    """The names of the stages above, also in what former cells gave."""
    from labcontainers.build.drafts import DRAFTS

    former = next((draft.text for draft in DRAFTS.list() if draft.name == arguments.get("append")), "")
    text = f"{former}\n" + "\n".join(lines[:-1])
    return list(dict.fromkeys(_STAGE.findall(text)))


def _contexts(arguments: Mapping[str, Any]) -> list[str]:
    """What --build-context names."""
    return [text.partition("=")[0] for text in arguments.get("build_context") or ()]


def _context_files(word: str, arguments: Mapping[str, Any]) -> list[str]:
    """Files of the build context, without those that .dockerignore leaves out."""
    from labcontainers.build.ignore import IgnoreRules, parse_ignore

    said = arguments.get("context") or "."
    if "://" in said:
        return []
    root, rules = Path(os.path.expanduser(said)), IgnoreRules()
    with contextlib.suppress(OSError, LabError):
        rules = parse_ignore((root / ".dockerignore").read_text(encoding="utf-8", errors="surrogateescape"))
    shown = [path for path in paths(word, root) if not rules.ignores(path.strip("/")) or rules.may_enter(path.strip("/"))]
    return shown if word else [path for path in shown if not path.startswith(".")]
