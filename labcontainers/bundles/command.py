"""The command line of `labcontainers-oci`: global flags, the command, and how errors are told (runc's way: one line, exit code 1).

It must not know what commands do.
"""

from __future__ import annotations

import os
import sys

from labcontainers.bundles.arguments import SWITCH, TEXT, Flags, Parsed, parse, refuse
from labcontainers.bundles.logs import Log
from labcontainers.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

GLOBAL = Flags(
    ("--root", TEXT, "where states are kept"),
    ("--log", TEXT, "a file for messages"),
    ("--log-format", TEXT, "text or json"),
    ("--debug", SWITCH, "tell more"),
    ("--cgroup-manager", TEXT, "cgroupfs or disabled"),
    ("--systemd-cgroup", SWITCH, "groups by systemd: not supported"),
    ("--rootless", TEXT, "true, false or auto; taken for runc's sake, since the user tells it"),
    ("--version -v", SWITCH, "tell the version"),
    ("--help -h", SWITCH, "tell this"),
)
# What a command that could not be started gives, by command; 1 else, as runc.
_EXIT_CODES = {"exec": 255}


def main() -> NoReturn:
    """Carry out the command line of this process, and end with its exit code."""
    # Whoever ignores its children would have this command unable to wait for its own (execve(2) keeps that).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = Log()
    verb = ""
    try:
        said = parse(sys.argv[1:], GLOBAL, "labcontainers-oci", until_first=True)
        log = Log(said.texts.get("--log", ""), said.texts.get("--log-format", "text"), "--debug" in said.switches)
        verb = said.rest[0] if said.rest else ""
        code = _run(said, log)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 1
    except Exception as error:
        log.error(told(error))
        code = _EXIT_CODES.get(verb, 1)
    os._exit(code)


def told(error: Exception) -> str:
    """An error in one line: this project's own with its hint, the kernel's with its words."""
    from labcontainers.errors import LabError

    if isinstance(error, LabError):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        about = f"{error.filename}: " if error.filename else ""
        return about + (error.strerror or str(error)).lower()
    return " ".join(f"{type(error).__name__}: {error}".split())


def _run(said: Parsed, log: Log) -> int:
    if said.texts.get("--log-format", "text") not in ("text", "json"):
        refuse(f"--log-format: {said.texts['--log-format']!r} is neither text nor json")
    if "--version" in said.switches:
        return _version()
    if "--help" in said.switches or not said.rest or said.rest[0] in ("help", "-h"):
        return _help(said.rest[1:] if said.rest and said.rest[0] == "help" else said.rest)
    manager = said.texts.get("--cgroup-manager", "cgroupfs")
    if manager not in ("cgroupfs", "disabled", "systemd"):
        refuse(f"--cgroup-manager: {manager!r} is neither cgroupfs nor disabled")
    if "--systemd-cgroup" in said.switches or manager == "systemd":
        from labcontainers.errors import Unsupported

        raise Unsupported("groups by systemd are not supported", "use --cgroup-manager=cgroupfs, here and in the engine that calls this")
    from labcontainers.bundles.verbs import VERBS, Setting

    verb = VERBS.get(said.rest[0])
    if said.rest[0] in ("checkpoint", "restore"):
        from labcontainers.errors import Unsupported

        raise Unsupported(f"{said.rest[0]} is not supported", "a container can be stopped for a while by `pause`")
    if verb is None:
        refuse(f"there is no command {said.rest[0]!r}")
    if said.rest[1:2] in (["--help"], ["-h"]):
        return _help(said.rest[:1])
    words = parse(said.rest[1:], verb.flags, said.rest[0], until_first=verb.passes)
    if not verb.least <= len(words.rest) <= verb.most:
        refuse(f"{said.rest[0]}: takes {verb.usage or 'no argument'}, not {' '.join(words.rest) or 'nothing'}")
    from labcontainers.bundles.states import check_root, default_root

    root = os.path.abspath(said.texts.get("--root") or default_root())
    check_root(root)
    return verb.run(Setting(root, log, manager), words)


def _version() -> int:
    from labcontainers.oci.runtime_spec import VERSION
    from labcontainers.version import __version__

    sys.stdout.write(f"labcontainers-oci version {__version__}\nspec: {VERSION}\n")
    return 0


def _help(words: list[str]) -> int:
    from labcontainers.bundles.verbs import VERBS

    verb = VERBS.get(words[0]) if words else None
    if verb is not None:
        lines = [f"labcontainers-oci {words[0]} [FLAG…] {verb.usage}".rstrip(), "", verb.text, ""]
        rows = verb.flags.rows
    else:
        lines = ["labcontainers-oci [FLAG…] COMMAND [FLAG…] [ARGUMENT…]", ""]
        lines += [f"  {name:<9} {one.text}" for name, one in VERBS.items()]
        lines.append("")
        rows = GLOBAL.rows
    lines += [f"  {names.replace(' ', ', '):<28} {text}" for names, _, text in rows]
    sys.stdout.write("\n".join(lines).rstrip() + "\n")
    return 0
