"""Options on what runs: name, command, environment, user, labels and the like; it must not know mounts, limits or networks."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping

from labcontainers.containers.options.forms import Converters, flag, pairs, shown, split_command, whole_number
from labcontainers.errors import InvalidArgument, Unsupported

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
# What `inspect` calls the runtime, and the only one that --runtime may name.
RUNTIME = "labcontainers"
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62})")


def container_name(value: object) -> str:
    """A valid name; raises InvalidArgument."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidArgument(f"invalid container name {shown(value)}", "only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed")
    return value


def _environment(value: object) -> tuple[str, ...]:
    """`["A=1", "B"]` or `{"A": 1}`; a name without value is taken from this process' environment, as Docker does."""
    if isinstance(value, Mapping):
        entries = [f"{key}={'' if item is None else item}" for key, item in value.items()]
    elif isinstance(value, list | tuple):
        entries = [str(item) for item in value]
    else:
        raise InvalidArgument(f"environment is a dict or a list of NAME=VALUE: {shown(value)}", "write such as {'A': '1'}")
    result = []
    for entry in entries:
        name, separator, _ = entry.partition("=")
        if not name or "\0" in entry:
            raise InvalidArgument(f"invalid environment variable: {shown(entry)}", "write NAME=VALUE")
        if separator:
            result.append(entry)
        elif name in os.environ:
            result.append(f"{name}={os.environ[name]}")
    return tuple(result)


def _working_dir(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise InvalidArgument(
            f"the working directory must be an absolute path: {shown(value)}", "write a path that begins with /, such as /srv"
        )
    return "/" + os.path.normpath(value).lstrip("/")


def _entrypoint(value: object) -> tuple[str, ...]:
    """A text is one word, as `docker run --entrypoint`; an empty one takes the image's entrypoint away."""
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, list | tuple):
        return split_command(value)
    raise InvalidArgument(f"entrypoint is a text or a list of words: {shown(value)}", "write such as ['sh', '-c']")


def _labels(value: object) -> tuple[tuple[str, str], ...]:
    return tuple(dict(pairs(value, "KEY=VALUE")).items())


def _hostname(value: object) -> str:
    if not isinstance(value, str) or not _HOSTNAME.fullmatch(value):
        raise InvalidArgument(f"invalid host name {shown(value)}", "use letters, digits, '-' and '.', at most 63")
    return value


def _user(value: object) -> str:
    text = str(value)
    if not text or any(character in text for character in " \0\n/") or text.startswith("-"):
        raise InvalidArgument(f"invalid user {shown(text)}", "write USER, UID, USER:GROUP, UID:GID or :GROUP")
    return text


_PLATFORM = re.compile(r"[a-z0-9_.-]+(/[a-z0-9_.-]+){0,2}", re.ASCII)
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
# What of an architecture's variants every such machine is (github.com/containerd/platforms).
_VARIANTS = {"amd64": "v1", "arm64": "v8"}


def _domainname(value: object) -> str:
    if not isinstance(value, str) or not _HOSTNAME.fullmatch(value):
        raise InvalidArgument(f"invalid domain name {shown(value)}", "use letters, digits, '-' and '.', at most 63")
    return value


def _groups(value: object) -> tuple[str, ...]:
    """Names or ids; the container's own /etc/group tells what a name is."""
    items = value if isinstance(value, list | tuple) else [value]
    found = tuple(str(item) for item in items)
    for text in found:
        if not text or text.startswith("-") or any(character in text for character in " \0\n\r\t:/,"):
            raise InvalidArgument(f"invalid group {shown(text)}", "write a name of the image's /etc/group, or a number")
    return tuple(dict.fromkeys(found))


def _annotations(value: object) -> tuple[tuple[str, str], ...]:
    return tuple(dict(pairs(value, "KEY=VALUE")).items())


def _platform(value: object) -> str | None:
    """This machine's, as OS[/ARCHITECTURE[/VARIANT]] or an architecture alone: nothing else can be run."""
    if value == "":
        return None
    text = str(value).lower()
    if not _PLATFORM.fullmatch(text):
        raise InvalidArgument(f"invalid platform {shown(value)}", "write OS/ARCHITECTURE, such as linux/amd64")
    own = _ALIASES.get(os.uname().machine, os.uname().machine)
    system, _, rest = text.partition("/") if text.startswith("linux") or text.count("/") == 2 else ("linux", "", text)
    architecture, _, variant = rest.partition("/")
    architecture = _ALIASES.get(architecture, architecture) or own
    if system != "linux" or architecture != own or variant not in ("", _VARIANTS.get(own, "")):
        raise Unsupported(f"{shown(value)} is not this machine's: there is no emulation", f"use linux/{own}")
    return f"linux/{own}"


def _only(known: tuple[str, ...], why: str) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if value not in known:
            raise Unsupported(f"{shown(value)} is not supported: {why}", f"use {known[0]}, or leave it out")
        return str(value)

    return convert


def _cidfile(value: object) -> str:
    """The absolute path of a file that is not there yet."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidArgument(f"not a path: {shown(value)}", "name a file that is not there yet")
    path = os.path.abspath(os.path.expanduser(value))
    if os.path.lexists(path):
        problem = f"container ID file found: {shown(value)}: the container of an earlier run may still be there"
        raise InvalidArgument(problem, "delete the file, or name another")
    if not os.path.isdir(os.path.dirname(path)):
        raise InvalidArgument(f"{shown(value)}: there is no such folder", "make the folder first")
    return path


def _rootfs(value: object) -> str:
    """A folder of this machine, without symbolic links; ":O", as in Podman, says what is so anyway: nobody writes into it."""
    if not isinstance(value, str | os.PathLike):
        raise InvalidArgument(f"not a path: {shown(value)}", "name a folder from / on")
    text = os.fspath(value).removesuffix(":O")
    if text.rpartition(":")[2].startswith("idmap"):
        raise Unsupported(f"the option idmap of {shown(value)} is not supported", "leave it out")
    if not os.path.isabs(text) or "\0" in text:
        raise InvalidArgument(f"not an absolute path: {shown(value)}", "name a folder from / on")
    folder = os.path.realpath(text)
    if not os.path.isdir(folder):
        raise InvalidArgument(f"{shown(value)}: there is no such folder", "name one that holds a root file system")
    return folder


def signal_number(value: str | int) -> int:
    """A signal's number, from its name with or without SIG (also RTMIN+3), or its number; raises InvalidArgument."""
    text = str(value).upper().removeprefix("SIG")
    real_time = re.fullmatch(r"(RTMIN|RTMAX)(?:([+-])([0-9]{1,2}))?", text)
    number = 0
    if re.fullmatch(r"[0-9]{1,3}", text):
        number = int(text)
    elif real_time is not None:
        number = int(signal.Signals["SIG" + real_time[1]]) + int((real_time[2] or "+") + (real_time[3] or "0"))
    elif "SIG" + text in signal.Signals.__members__:
        number = int(signal.Signals["SIG" + text])
    if number not in signal.valid_signals():
        raise InvalidArgument(f"invalid signal {shown(value)}", "use a name such as TERM, or a number of signal(7)")
    return number


def signal_name(value: str | int) -> str:
    """A signal as "SIGTERM", or as its number where it has no name; raises InvalidArgument."""
    number = signal_number(value)
    return signal.Signals(number).name if number in list(signal.Signals) else str(number)


CONVERTERS: Converters = {
    "name": ("name", container_name),
    "remove": ("remove", flag("remove")),
    "auto_remove": ("remove", flag("auto_remove")),
    "environment": ("environment", _environment),
    "working_dir": ("working_dir", _working_dir),
    "user": ("user", _user),
    "entrypoint": ("entrypoint", _entrypoint),
    "labels": ("labels", _labels),
    "hostname": ("hostname", _hostname),
    "stop_signal": ("stop_signal", signal_name),
    "stop_timeout": ("stop_timeout_s", whole_number(0, 2**31 - 1, also=(-1,))),
    "domainname": ("domainname", _domainname),
    "group_add": ("groups", _groups),
    "init": ("init", flag("init")),
    "annotations": ("annotations", _annotations),
    "platform": ("platform", _platform),
    "isolation": ("isolation", _only(("default", ""), "it exists on Windows only")),
    "runtime": ("", _only((RUNTIME, ""), "there is one runtime, this engine's own")),
    "cidfile": ("cidfile", _cidfile),
    "rootfs": ("rootfs", _rootfs),
}
