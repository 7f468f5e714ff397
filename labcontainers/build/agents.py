"""The SSH agents of a build: `--ssh default` and `--ssh ID=SOCKET` name one, and `--ssh ID=KEY[,KEY…]` has one of its own.

It must not know what an agent is asked for. Keys are read here, told to ssh-add(1) and never written anywhere; their agent ends with
the build, or with this process, however that dies.

Sources: docs.docker.com "docker buildx build", --ssh; ssh-agent(1), ssh-add(1).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from labcontainers.errors import Failed, InvalidArgument, NotFound, Unsupported

_MOST_BYTES = 100 * 1024
_LONGEST_S = 30
_BEAT_S = 0.01
# it reads until this process closes its end of a pipe, or dies
_WATCH = '"$1" -D -a "$2" </dev/null & cat; kill $!; wait'


@contextlib.contextmanager
def open_agents(texts: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """The sockets of the agents by their ids, as long as the context lasts; files are found from `folder`.

    Raises InvalidArgument and NotFound for what is no socket and no key, Unsupported without OpenSSH.
    """
    with contextlib.ExitStack() as stack:
        found: dict[str, Path] = {}
        for text in texts:
            name, _, places = text.partition("=")
            if not name:
                raise InvalidArgument(f"--ssh: no id: {text!r}", "write default, ID=SOCKET or ID=KEY")
            places = places or environment.get("SSH_AUTH_SOCK", "")
            if not places:
                raise InvalidArgument(
                    "--ssh: there is no SSH agent: SSH_AUTH_SOCK is not set", "start ssh-agent, or write ID=SOCKET or ID=KEY"
                )
            paths = [folder / Path(place).expanduser() for place in places.split(",")]
            sockets = [path for path in paths if _is_socket(path)]
            if sockets and len(paths) > 1:
                raise InvalidArgument(f"--ssh: {name} has a socket and more: {places}", "give one socket, or keys")
            found[name] = sockets[0] if sockets else stack.enter_context(_agent_of(paths))
        yield found


def _is_socket(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NotFound(f"--ssh: {path}: {(error.strerror or '').lower()}", "name the socket of an SSH agent, or a key") from None
    if not stat.S_ISSOCK(mode) and not stat.S_ISREG(mode):
        raise InvalidArgument(f"--ssh: neither a socket nor a key: {path}", "name the socket of an SSH agent, or a private key")
    return stat.S_ISSOCK(mode)


@contextlib.contextmanager
def _agent_of(keys: Sequence[Path]) -> Iterator[Path]:
    """An agent that has these keys and no others."""
    programs = [shutil.which(name) for name in ("ssh-agent", "ssh-add")]
    if programs[0] is None or programs[1] is None:
        raise Unsupported(f"--ssh: {keys[0]} is a key, for which ssh-agent is not installed", "install OpenSSH's client")
    agent, add = programs[0], programs[1]
    # not in the store, since the address of a socket is short (unix(7))
    with tempfile.TemporaryDirectory(prefix="labcontainers-ssh-") as place:
        socket = Path(place, "agent")
        command = ["sh", "-c", _WATCH, "sh", agent, str(socket)]
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True):
            _wait_for(socket)
            for key in keys:
                _add(add, key, socket)
            yield socket


def _wait_for(socket: Path) -> None:
    end = time.monotonic() + _LONGEST_S
    while not socket.exists():
        if time.monotonic() > end:
            raise Failed(f"--ssh: ssh-agent did not start in {_LONGEST_S} s", "try it by hand, and name its socket")
        time.sleep(_BEAT_S)


def _add(program: str, key: Path, socket: Path) -> None:
    try:
        with open(key, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InvalidArgument(f"--ssh: cannot read {key}: {(error.strerror or '').lower()}", "name a key that can be read") from error
    environment = {"PATH": os.environ.get("PATH", os.defpath), "SSH_AUTH_SOCK": str(socket), "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}
    command = [program, "-q", "-"]
    try:
        done = subprocess.run(
            command, input=data, env=environment, capture_output=True, timeout=_LONGEST_S, start_new_session=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"--ssh: ssh-add did not take {key} in {_LONGEST_S} s", "add it to an agent by hand, and name its socket") from None
    if done.returncode:
        if b"passphrase" in done.stderr.lower():
            raise InvalidArgument(f"--ssh: the key {key} has a passphrase", "add it to an agent by ssh-add, and write --ssh default")
        raise InvalidArgument(f"--ssh: not a private key: {key}", "name a private key, such as ~/.ssh/id_ed25519")
