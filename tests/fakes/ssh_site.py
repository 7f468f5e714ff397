"""A real sshd on loopback, of this user, with keys and a configuration of its own, and an agent that has the key which it takes."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import until

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SSH_PORT = 22
# where sshd wants to find an empty folder when it is root's
_PRIVATE = Path("/run/sshd")


@dataclass(frozen=True)
class SshSite:
    """`key` is a private key that the server takes, `agent` the socket of an agent that has it; `known` is a line of known_hosts."""

    root: Path
    port: int
    key: Path
    agent: Path
    known: str

    @property
    def user(self) -> str:
        return pwd.getpwuid(os.geteuid()).pw_name

    def url(self, path: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"

    def home(self, *, known: str | None = None) -> Path:
        """A home whose user knows this server, or another one by its address."""
        folder = self.root / "home"
        (folder / ".ssh").mkdir(parents=True, exist_ok=True)
        (folder / ".ssh/known_hosts").write_text(self.known if known is None else known)
        return folder


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-C", f"key {path.name}", "-N", passphrase, "-f", path], check=True)
    return path


def host_line(port: int, key: Path) -> str:
    kind, text, *_ = key.with_suffix(".pub").read_text().split()
    return f"{'127.0.0.1' if port == SSH_PORT else f'[127.0.0.1]:{port}'} {kind} {text}\n"


@contextmanager
def ssh_site(root: Path, port: int = 0) -> Iterator[SshSite]:
    """Files below `root`; as root /run/sshd is made for it where it is missing. Without `port`, it listens on a free one."""
    root.mkdir(parents=True)
    host_key, key = make_key(root / "host"), make_key(root / "key")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    (root / "authorized").write_text(key.with_suffix(".pub").read_text())
    (root / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {host_key}\nAuthorizedKeysFile {root}/authorized\nPidFile none\nUsePAM no\n"
        "StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    made = os.geteuid() == 0 and not _PRIVATE.exists()
    if made:
        _PRIVATE.mkdir(mode=0o755)
    sshd = shutil.which("sshd", path=SYSTEM_PATH)
    assert sshd is not None
    socket_path = root / "a"
    children = [
        subprocess.Popen([sshd, "-D", "-e", "-f", root / "config"], stderr=open(root / "log", "wb")),  # noqa: SIM115  # the child has it
        subprocess.Popen(["ssh-agent", "-D", "-a", socket_path], stdout=subprocess.DEVNULL),
    ]
    try:
        until(lambda: _answers(socket_path), "the agent listens")
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(socket_path)}, check=True)
        until(lambda: _listens(port), "sshd listens")
        yield SshSite(root, port, key, socket_path, host_line(port, host_key))
    finally:
        for child in children:
            child.terminate()
            child.wait()
        if made:
            _PRIVATE.rmdir()


def _answers(path: Path) -> bool:
    """Whether somebody takes connections there: the socket exists a little earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
