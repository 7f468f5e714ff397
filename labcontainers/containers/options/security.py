"""Options on what a container may do: capabilities, `--security-opt` and `--privileged`; it must not ask the kernel anything.

Source: docs.docker.com "docker run", --cap-add, --cap-drop, --security-opt, --privileged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labcontainers.containers.options.forms import Converters, flag, shown
from labcontainers.errors import InvalidArgument
from labcontainers.kernel import capabilities
from labcontainers.kernel.seccomp_profile import parse_profile

UNCONFINED = "unconfined"
BUILTIN = "builtin"
# A profile of Docker's has some 15 kB; the daemon takes no request above 4 MiB.
_MOST_PROFILE_BYTES = 4 << 20
_KNOWN = "apparmor, label, no-new-privileges, seccomp, systempaths and writable-cgroups"
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


@dataclass(frozen=True, slots=True)
class SecurityOptions:
    """What `--security-opt` says. `seccomp` is "" (the default profile), "unconfined", "builtin" or the text of a profile in JSON.

    `apparmor` is a profile's name, "unconfined" or ""; `labels` are SELinux's, which nothing is done with, as in Docker without SELinux.
    """

    seccomp: str = ""
    apparmor: str = ""
    no_new_privileges: bool = False
    system_paths: bool = False
    writable_cgroups: bool = False
    label_disable: bool = False
    labels: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SecurityOptions:
        """From a record."""
        return cls(**{**values, "labels": tuple(values.get("labels", ()))})

    def texts(self) -> list[str]:
        """As `docker inspect` prints them under HostConfig.SecurityOpt."""
        return [
            *(["no-new-privileges"] if self.no_new_privileges else []),
            *([f"seccomp={self.seccomp}"] if self.seccomp else []),
            *([f"apparmor={self.apparmor}"] if self.apparmor else []),
            *(["label=disable"] if self.label_disable else []),
            *(f"label={label}" for label in self.labels),
            *(["writable-cgroups=true"] if self.writable_cgroups else []),
        ]


def _security_opt(value: object) -> SecurityOptions:
    """A list of texts, or one; a later one wins over an earlier one of the same kind."""
    chosen: dict[str, Any] = {}
    for item in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(item, str) or "\0" in item:
            raise InvalidArgument(f"security_opt is a list of texts: {shown(item)}", f"options are {_KNOWN}")
        found = _one(item)
        if "labels" in found:
            found["labels"] = (*chosen.get("labels", ()), *found["labels"])
        chosen.update(found)
    return SecurityOptions(**chosen)


def _one(text: str) -> dict[str, Any]:
    # Docker takes the old separator ":" where there is no "=".
    key, separator, setting = text.partition("=") if "=" in text else text.partition(":")
    if key in ("no-new-privileges", "writable-cgroups"):
        return {key.replace("-", "_"): _truth(text, setting) if separator else True}
    if not separator or not setting:
        raise InvalidArgument(f"invalid option {shown(text)}", f"options are {_KNOWN}")
    if key == "seccomp":
        return {"seccomp": _seccomp(setting)}
    if key == "apparmor":
        return {"apparmor": _apparmor(setting)}
    if key == "systempaths":
        if setting != UNCONFINED:
            raise InvalidArgument(f"invalid option {shown(text)}", "write systempaths=unconfined")
        return {"system_paths": True}
    if key == "label":
        return {"label_disable": True} if setting == "disable" else {"labels": (setting,)}
    raise InvalidArgument(f"invalid option {shown(text)}", f"options are {_KNOWN}")


def _truth(text: str, setting: str) -> bool:
    if setting.lower() not in (*_TRUE, *_FALSE):
        raise InvalidArgument(f"invalid option {shown(text)}", "the value is true or false")
    return setting.lower() in _TRUE


def _seccomp(setting: str) -> str:
    """ "unconfined", "builtin", or the checked text of a profile, read from a file unless it is JSON already."""
    if setting in (UNCONFINED, BUILTIN):
        return setting
    text, name = (setting, "the profile") if setting.lstrip().startswith("{") else (_read(setting), setting)
    document = load_profile(text, name)
    parse_profile(document)
    return json.dumps(document, separators=(",", ":"))


def _read(path: str) -> str:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = file.read(_MOST_PROFILE_BYTES + 1)
        if len(data) > _MOST_PROFILE_BYTES:
            raise InvalidArgument(f"seccomp={path}: larger than 4 MiB", "name a profile in JSON")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "not UTF-8"
        problem = f"opening seccomp profile ({path}) failed: {reason}"
        raise InvalidArgument(problem, "name a file with a profile in JSON, or write seccomp=unconfined") from None


def load_profile(text: str, name: str) -> Mapping[str, Any]:
    """The object that a profile's text holds; raises InvalidArgument with the line and column of what is no JSON."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"seccomp profile {name}:{error.lineno}:{error.colno}: {error.msg.lower()}"
        raise InvalidArgument(problem, "a profile is a JSON object, as docs.docker.com shows it") from None
    except RecursionError:
        raise InvalidArgument(f"seccomp profile {name}: nested too deeply", "a profile is a JSON object") from None
    if not isinstance(document, Mapping):
        raise InvalidArgument(f"seccomp profile {name} is not a JSON object", 'begin with {"defaultAction": …}')
    return document


def _apparmor(setting: str) -> str:
    if any(character.isspace() for character in setting) or len(setting) > 255:
        raise InvalidArgument(f"invalid AppArmor profile {shown(setting)}", "write apparmor=PROFILE or apparmor=unconfined")
    return setting


def _capabilities(value: object) -> tuple[str, ...]:
    """Names with or without CAP_, in any case, or ALL; each plain ("NET_ADMIN") and once."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument(f"capabilities are a list of names: {shown(value)}", "such as NET_ADMIN, or ALL")
    plain = ["ALL" if capabilities.is_all(name) else capabilities.normalize(name) for name in names]
    return tuple(dict.fromkeys(plain))


CONVERTERS: Converters = {
    "no_new_privileges": ("no_new_privileges", flag("no_new_privileges")),
    "security_opt": ("security", _security_opt),
    "cap_add": ("cap_add", _capabilities),
    "cap_drop": ("cap_drop", _capabilities),
    "privileged": ("privileged", flag("privileged")),
}
