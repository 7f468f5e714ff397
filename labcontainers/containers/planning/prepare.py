"""From an image's config and the user's options to what the runtime needs: command, environment and the small files of `/etc`.

It must not start anything; all but the small files of `/etc` is pure.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.errors import InvalidArgument
from labcontainers.oci.image_config import ProcessConfig

TERM = "TERM=xterm"
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
    own = [DEFAULT_PATH, f"HOSTNAME={hostname}", *([TERM] if options.tty else [])]
    return merge_environment(own, config.env, options.environment)


def stop_signal(config: ProcessConfig, options: ContainerOptions) -> int:
    """The number of the signal that `stop` sends: the option's, the image's, or SIGTERM."""
    name = options.stop_signal or config.stop_signal or "SIGTERM"
    try:
        return int(name) if name.isdigit() else signal.Signals[name].value
    except KeyError:
        return signal.SIGTERM


def stop_timeout(options: ContainerOptions, wanted_s: float | None) -> float | None:
    """Seconds that `stop` waits, or None for ever, which is written as a number below 0; what is wanted, the option's, or Docker's ten."""
    if wanted_s is None:
        wanted_s = 10.0 if options.stop_timeout_s is None else options.stop_timeout_s
    return None if wanted_s < 0 else wanted_s


def make_directories(directory: Path) -> None:
    """What a container's directory holds: its writable layer, overlay's work directory, the mount point of its root, and `etc`."""
    os.mkdir(directory, 0o700)
    for name in ("upper", "work", "root", "etc"):
        os.mkdir(f"{directory}/{name}")
        # The upper directory's mode becomes that of the container's `/`.
        os.chmod(f"{directory}/{name}", 0o755)
    os.close(os.open(f"{directory}/lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
