"""From an image's config and the user's options to what the runtime needs: command, environment, mounts and limits.

It must not start anything; all but the small files of `/etc` is pure.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from labcontainers.containers.options import ContainerOptions
from labcontainers.errors import InvalidArgument
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.runtime.spec import BindMount, TemporaryMount

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ETC_FILES = ("hostname", "hosts", "resolv.conf")
_NO_DNS = "# no name server: this network has none\n"


def command_line(config: ProcessConfig, options: ContainerOptions, command: tuple[str, ...]) -> tuple[str, ...]:
    """What is executed: the entrypoint and the command, each from the options or else from the image.

    A new entrypoint takes the image's command away, as in Docker. Raises InvalidArgument when nothing is left.
    """
    if options.entrypoint is not None:
        words = (*options.entrypoint, *command)
    else:
        words = (*(config.entrypoint or ()), *(command or config.cmd or ()))
    if not words or not words[0]:
        raise InvalidArgument("no command specified", "the image has neither ENTRYPOINT nor CMD: give a command after the image's name")
    return words


def merge_environment(*parts: Iterable[str]) -> tuple[str, ...]:
    """NAME=VALUE entries, later ones winning, in the order of their first mention."""
    merged: dict[str, str] = {}
    for part in parts:
        for entry in part:
            merged[entry.partition("=")[0]] = entry
    return tuple(merged.values())


def container_environment(config: ProcessConfig, options: ContainerOptions, hostname: str) -> tuple[str, ...]:
    """The environment of the container's first process."""
    return merge_environment([DEFAULT_PATH, f"HOSTNAME={hostname}"], config.env, options.environment)


def stop_signal(config: ProcessConfig, options: ContainerOptions) -> int:
    """The number of the signal that `stop` sends: the option's, the image's, or SIGTERM."""
    name = options.stop_signal or config.stop_signal or "SIGTERM"
    try:
        return int(name) if name.isdigit() else signal.Signals[name].value
    except KeyError:
        return signal.SIGTERM


def make_directories(directory: Path) -> None:
    """What a container's directory holds: its writable layer, overlay's work directory, the mount point of its root, and `etc`."""
    directory.mkdir(mode=0o700)
    for name in ("upper", "work", "root", "etc"):
        (directory / name).mkdir()
        # The upper directory's mode becomes that of the container's `/`.
        (directory / name).chmod(0o755)
    (directory / "lock").touch(0o600)


def write_etc(directory: Path, hostname: str, network: str, address: str = "") -> None:
    """Write `hostname`, `hosts` and `resolv.conf`, in place so that files already bound into a container change too."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    if network == "host":
        lines.append(f"127.0.1.1\t{hostname}")
    else:
        lines.append(f"{address or '127.0.1.1'}\t{hostname}")
    texts = {"hostname": hostname + "\n", "hosts": "\n".join(lines) + "\n", "resolv.conf": _resolv_conf(network)}
    for name, text in texts.items():
        with open(directory / "etc" / name, "w", encoding="utf-8") as file:
            file.write(text)


def _resolv_conf(network: str) -> str:
    """The host's file; for a network of one's own without its loopback servers, which are not reachable from there."""
    if network == "none":
        return _NO_DNS
    try:
        text = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _NO_DNS
    if network == "host":
        return text
    kept = [line for line in text.splitlines() if not (line.startswith("nameserver") and _loopback(line))]
    return "\n".join(kept) + "\n"


def _loopback(line: str) -> bool:
    words = line.split()
    return len(words) > 1 and (words[1].startswith("127.") or words[1] == "::1")


def all_mounts(directory: Path, options: ContainerOptions) -> tuple[BindMount | TemporaryMount, ...]:
    """Everything that is mounted beside the image: the files of `/etc`, volumes, temporary file systems; parents first."""
    wanted: list[BindMount | TemporaryMount] = [
        BindMount(str(directory / "etc" / name), f"/etc/{name}", options.read_only) for name in _ETC_FILES
    ]
    wanted += [BindMount(volume.source, volume.target, volume.read_only) for volume in options.volumes]
    wanted += [TemporaryMount(target, data or "mode=1777") for target, data in options.tmpfs]
    return tuple(sorted(wanted, key=lambda mount: mount.target.count(os.sep)))
