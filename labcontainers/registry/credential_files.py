"""The files in which Docker and Podman keep credentials, and helpers that they name; it must not know what they are used for.

Source: containers-auth.json(5), docs.docker.com "docker login", github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labcontainers.errors import Denied, InvalidArgument, Unavailable
from labcontainers.registry.auth import Credential

VARIABLE = "DOCKER_AUTH_CONFIG"
HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MOST_BYTES = 4 << 20
_HELPER_S = 60
RunHelper = Callable[[str, str], str]


def places() -> Sequence[Path]:
    """Files with credentials, the first that knows a registry wins."""
    environment = os.environ
    found = []
    if named := environment.get("REGISTRY_AUTH_FILE"):
        found.append(Path(named))
    docker = environment.get("DOCKER_CONFIG")
    found.append((Path(docker) if docker else Path.home() / ".docker") / "config.json")
    if run := environment.get("XDG_RUNTIME_DIR"):
        found.append(Path(run) / "containers/auth.json")
    config = environment.get("XDG_CONFIG_HOME")
    found.append((Path(config) if config else Path.home() / ".config") / "containers/auth.json")
    return found


def read_file(path: Path) -> dict[str, Any]:
    """The object in a file, {} when there is none; raises InvalidArgument."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidArgument(f"{path}: {(error.strerror or str(error)).lower()}", "make it readable") from None
    try:
        value = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        raise InvalidArgument(f"{path} is no JSON", "correct it, or remove it and log in again") from None
    if not isinstance(value, dict):
        raise InvalidArgument(f"{path} holds no object", "correct it, or remove it and log in again")
    return value


def find_in_environment(domain: str, path: str) -> Credential | None:
    """The credential that DOCKER_AUTH_CONFIG has for a repository: the `auths` of a config.json. Raises InvalidArgument.

    Source: github.com/docker/cli, cli/config/configfile/file.go; what else a file may have is not read from there.
    """
    said = os.environ.get(VARIABLE, "")
    if not said.strip():
        return None
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        raise InvalidArgument(f"{VARIABLE} is no JSON", "correct it, or unset it") from None
    if not isinstance(value, dict):
        raise InvalidArgument(f"{VARIABLE} holds no object", "correct it, or unset it")
    try:
        return find_in({"auths": value.get("auths")}, domain, path, run_helper)
    except InvalidArgument:
        raise InvalidArgument(f"{VARIABLE} has an entry that cannot be read", "correct it, or unset it") from None


def keys_for(domain: str, path: str) -> list[str]:
    """Keys under which credentials may be, the most specific first: HOST/NAMESPACE/NAME, HOST/NAMESPACE, HOST."""
    parts = path.split("/") if path else []
    keys = ["/".join([domain, *parts[:count]]) for count in range(len(parts), -1, -1)]
    return keys + [key for key in HUB_KEYS if domain == "docker.io" and key != domain]


def find_in(value: Mapping[str, Any], domain: str, path: str, run_helper: RunHelper) -> Credential | None:
    """The credential that one file has for a repository. Raises Denied and Unavailable for a helper that fails."""
    hosts = HUB_KEYS if domain == "docker.io" else (domain,)
    helpers, entries, store = value.get("credHelpers"), value.get("auths"), value.get("credsStore")
    if isinstance(helpers, dict):
        for host in hosts:
            if isinstance(name := helpers.get(host), str) and name:
                return ask_helper(name, host, run_helper)
    if isinstance(entries, dict):
        known = {_bare(key): entry for key, entry in reversed(list(entries.items()))}
        for key in keys_for(domain, path):
            if isinstance(entry := known.get(_bare(key)), dict) and (found := _decoded(entry)) is not None:
                return found
    if isinstance(store, str) and store:
        for host in hosts:
            if (found := ask_helper(store, host, run_helper)) is not None:
                return found
    return None


def _bare(key: str) -> str:
    """A key without scheme and without the path that only Docker's old API had."""
    key = re.sub(r"^https?://", "", key).rstrip("/")
    return re.sub(r"/v[12]$", "", key)


def _decoded(entry: Mapping[str, Any]) -> Credential | None:
    """What an entry holds; None for one that is empty, as those are whose secret is in a store."""
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if isinstance(coded := entry.get("auth"), str) and coded:
        try:
            username, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except ValueError:
            raise InvalidArgument("a file with credentials has an entry that cannot be read", "log in again") from None
        password = password.rstrip("\0")
    identity = entry.get("identitytoken") or ""
    return Credential(username, password, str(identity)) if username or identity else None


def ask_helper(name: str, host: str, run_helper: RunHelper) -> Credential | None:
    """What docker-credential-NAME has for a registry; None when it has nothing."""
    if not _HELPER.fullmatch(name):
        raise InvalidArgument(f"{name!r} is not the name of a credential helper", "correct credsStore or credHelpers")
    said = run_helper(name, host)
    if not said:
        return None
    try:
        value = json.loads(said)
        username, secret = str(value["Username"]), str(value["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unavailable(f"docker-credential-{name} does not answer as it should", f"try: docker-credential-{name} get") from None
    return Credential("", "", secret) if username == "<token>" else Credential(username, secret)


def run_helper(name: str, host: str) -> str:
    """What `docker-credential-NAME get` says to a host; "" when it knows nothing of it, or is not on this machine.

    Raises Denied, Unavailable.
    """
    import subprocess

    program = f"docker-credential-{name}"
    try:
        said = subprocess.run([program, "get"], input=host, capture_output=True, text=True, check=False, timeout=_HELPER_S)
    except (FileNotFoundError, PermissionError) as error:
        # Where PATH has a folder that this user may not enter, a program that is nowhere is denied (execvp(3)).
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        if isinstance(error, FileNotFoundError) or not any(os.path.exists(f"{folder}/{program}") for folder in folders):
            # a home directory is shared by machines: what is public can be had without it, and for the rest there is login
            return ""
        raise Unavailable(f"{program} cannot be run", f"try: {program} get") from None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise Unavailable(f"{program} cannot be run, or does not end", f"try: {program} get") from None
    if said.returncode == 0:
        return said.stdout
    if "not found" in said.stdout.lower() or "no credentials" in said.stdout.lower():
        return ""
    # its output is not shown: nobody knows what is in it
    raise Denied(f"{program} fails with exit code {said.returncode}", f"try: {program} get")
