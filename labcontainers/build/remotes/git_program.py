"""The program `git`, run so that neither a repository nor a server can make it do more than fetch and write files.

It must not know what is fetched. No configuration of the user or of the machine counts, no hook is run, no other transports than
those of addresses are used, also by submodules, and nobody is asked for anything.

Sources: git(1), "Environment Variables"; git-config(1); names of secrets: docs.docker.com "Build secrets", "Git authentication".
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labcontainers.build.cancelling import Cancel
from labcontainers.build.remotes.addresses import GitAddress
from labcontainers.build.secrets import Confidential
from labcontainers.errors import Denied, Failed, InvalidArgument, LabError, NotFound, Unavailable, Unsupported

_MOST_OUTPUT = 1 << 20
_LONGEST_S = 1800
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")
_AUTHORITIES = ("GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_HERE = "localhost,127.0.0.1,::1"
# the agent alone tells who somebody is, and a host must be known already
_SSH = (
    "ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentityFile=/dev/null",
    "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
)  # fmt: skip
_OF_SSH = re.compile(r"ssh: |No .*host key is known|Host key for .* has changed|No user exists for uid|\S+: Permission denied \(")
_CONFIG = """\
[advice]
	detachedHead = false
[core]
	attributesFile = /dev/null
	autocrlf = false
	excludesFile = /dev/null
	fsmonitor = false
	hooksPath = /dev/null
	logAllRefUpdates = false
[credential]
	helper =
[fetch]
	unpackLimit = 1
[gc]
	auto = 0
[http]
	lowSpeedLimit = 100
	lowSpeedTime = 60
[init]
	defaultBranch = main
	templateDir =
[maintenance]
	auto = false
[pack]
	threads = 1
[submodule]
	recurse = false
"""
_KINDS: tuple[tuple[type[LabError], tuple[str, ...], str], ...] = (
    (
        Denied,
        ("authentication failed", "could not read username", "permission denied", "error: 401", "error: 403", "terminal prompts disabled"),
        "give --secret id=GIT_AUTH_TOKEN,env=…, or for ssh --ssh default",
    ),
    (Denied, ("host key verification failed",), "put the host's key into ~/.ssh/known_hosts (ssh-keyscan), if it is the one it should be"),
    (Unsupported, ("no user exists for uid",), "ssh needs a line for this user in /etc/passwd; use https://"),
    (Unsupported, ("run ssh: no such file", "ssh: not found", "cannot run ssh"), "install OpenSSH's client, or use https://"),
    (Failed, ("not allowed",), "do not trust whoever made the repository"),
    (NotFound, ("not found", "does not exist", "does not appear to be a git repository", "error: 404"), "check the address"),
    (
        Unavailable,
        (
            "could not resolve",
            "connection",
            "timed out",
            "unable to connect",
            "too slow",
            "couldn't connect",
            "failed to connect",
            "error: 5",
        ),
        "try again later",
    ),
)


@dataclass(frozen=True, slots=True)
class _Login:
    """What a server of HTTP is told of who asks, for one origin; never on a command line, which all users of a machine can read."""

    origin: str
    header: str

    def variables(self) -> dict[str, str]:
        pairs = [(f"http.{self.origin}.extraHeader", self.header), ("http.followRedirects", "false")]
        found = {"GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs):
            found[f"GIT_CONFIG_KEY_{number}"], found[f"GIT_CONFIG_VALUE_{number}"] = key, value
        return found


class Git:
    """Runs git for one address. `home` is an empty folder of this build."""

    def __init__(self, address: GitAddress, confidential: Confidential, home: Path, cancel: Cancel) -> None:
        """Raises Unsupported where there is no git, and InvalidArgument for a secret that cannot be told."""
        environment = os.environ
        program = shutil.which("git", path=environment.get("PATH", os.defpath))
        if program is None:
            raise Unsupported(f"{address.shown}: git is not installed", "install git, or clone it elsewhere and name its folder")
        self._program = program
        self._address = address
        self._home = home
        self._cancel = cancel
        (home / ".gitconfig").write_text(_CONFIG)
        login = _login(address, confidential)
        self._hidden = tuple(part for part in (login.header.rpartition(" ")[2], address.login) if part) if login else ()
        self._variables = {
            **_of_environment(environment),
            "HOME": str(home),
            "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
            "GIT_ASKPASS": "true",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": _ssh_command(environment),
            "GIT_SSH_VARIANT": "ssh",
            "GIT_TERMINAL_PROMPT": "0",
            "LANG": "C",
            "LC_ALL": "C",
            **({} if login is None else login.variables()),
        }
        agent = confidential.sockets.get("default")
        if agent is not None:
            self._variables["SSH_AUTH_SOCK"] = str(agent)

    def run(self, *arguments: str, folder: Path | None = None) -> str:
        """What git writes; blocks. Raises Denied, NotFound, Unavailable or Failed with the last that it said, Cancelled."""
        with tempfile.TemporaryFile(dir=self._home) as output, tempfile.TemporaryFile(dir=self._home) as said:
            process = subprocess.Popen(
                [self._program, *arguments], cwd=folder or self._home, env=self._variables, stdin=subprocess.DEVNULL, stdout=output,
                stderr=said, start_new_session=True, umask=0o022,
            )  # fmt: skip
            try:
                self._wait(process)
            finally:
                # what it has started may outlive it; until it is waited for, the number of its group is nobody else's
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
            self._cancel.check()
            output.seek(0)
            if code == 0:
                return output.read(_MOST_OUTPUT).decode("utf-8", "replace")
            said.seek(max(0, said.seek(0, os.SEEK_END) - 8192))
            raise self._error(said.read().decode("utf-8", "replace"))

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until it has ended, or the build is cancelled; raises Unavailable after a long time."""
        end = os.pidfd_open(process.pid)
        stop, stopped = os.pipe()
        try:
            with self._cancel.stopping(lambda: os.write(stopped, b"x")):
                ready, _, _ = select.select([end, stop], [], [], _LONGEST_S)
        finally:
            for fd in (end, stop, stopped):
                os.close(fd)
        if not ready:
            raise Unavailable(f"{self._address.shown}: git did not end in {_LONGEST_S} s", "try again later")

    def _error(self, said: str) -> LabError:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        # where ssh did not come through, git knows only that it did not
        by_ssh = [line for line in lines if _OF_SSH.match(line)]
        told = by_ssh or [line for line in lines if line.startswith(("fatal:", "error:", "ERROR"))] or lines[-1:] or ["it said nothing"]
        text = "; ".join(dict.fromkeys(line.removeprefix("fatal: ").removeprefix("error: ") for line in told))
        for secret in self._hidden:
            text = text.replace(secret, "…")
        text = "".join(letter if letter.isprintable() else " " for letter in text)[:400]
        everything = said.lower()
        for kind, words, hint in _KINDS:
            if any(word in everything for word in words):
                return kind(f"{self._address.shown}: git: {text}", hint)
        return Failed(f"{self._address.shown}: git: {text}", "try it by hand: git clone")


def _ssh_command(environment: Mapping[str, str]) -> str:
    """The program for ssh, as a shell reads it; hosts are those that this user knows, whose home is what HOME says, as ever here."""
    home = environment.get("HOME", "")
    # ssh(1) reads words once more
    known = ["-o", f'UserKnownHostsFile="{home}/.ssh/known_hosts"'] if home and not set(home) & set('"%$\n') else []
    return shlex.join((*_SSH, *known))


def _of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the user's environment git is told: where programs are, proxies, and certificates of authorities."""
    found = {name: environment[name] for name in ("PATH", *_PROXIES) if environment.get(name)}
    direct = environment.get("no_proxy") or environment.get("NO_PROXY")
    found["no_proxy"] = f"{direct},{_HERE}" if direct else _HERE
    authorities = next((environment[name] for name in _AUTHORITIES if environment.get(name)), "")
    return {**found, **({"GIT_SSL_CAINFO": authorities} if authorities else {})}


def _login(address: GitAddress, confidential: Confidential) -> _Login | None:
    """The header for a server of HTTP: by the secrets of BuildKit's names, for this host or for all, or by the address itself."""
    parts = urlsplit(address.remote) if address.remote.startswith(("http://", "https://")) else None
    if parts is None:
        return None
    header = ""
    if address.login:
        user, _, password = address.login.partition(":")
        header = _basic(f"{unquote(user)}:{unquote(password)}")
    for name in (f"GIT_AUTH_HEADER.{parts.netloc}", f"GIT_AUTH_TOKEN.{parts.netloc}", "GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"):
        value = confidential.secrets.get(name)
        if value is not None and not header:
            text = value.decode("utf-8", "surrogateescape").strip()
            if not text.isprintable():
                raise InvalidArgument(f"secret {name} has letters that no header may have", "write it on one line")
            header = text if "_HEADER" in name else _basic(f"x-access-token:{text}")
    return _Login(f"{parts.scheme}://{parts.netloc}/", f"Authorization: {header}") if header else None


def _basic(pair: str) -> str:
    return f"basic {base64.b64encode(pair.encode('utf-8', 'surrogateescape')).decode()}"
