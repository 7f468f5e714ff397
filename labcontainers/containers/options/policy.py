"""Options on what happens while nobody looks: restarting and health checks; it must not start anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from labcontainers.containers.options.flags import about
from labcontainers.containers.options.forms import Converters, shown
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_duration_s

POLICIES = ("no", "always", "on-failure", "unless-stopped")
_POLICY_HINT = "use one of no, always, unless-stopped, on-failure or on-failure:MOST"
_LEAST_NS = 1_000_000
_DURATIONS = ("interval", "timeout", "start_period", "start_interval")
_KEYWORDS = ("test", *_DURATIONS, "retries")


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How a container's health is checked. `test` is Docker's: ("CMD", word…), ("CMD-SHELL", text) or ("NONE",); empty as the image says.

    Durations are in nanoseconds; 0 means as the image says, or else Docker's default.
    """

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0

    @property
    def is_none(self) -> bool:
        """Whether checks are switched off."""
        return self.test[:1] == ("NONE",)

    def over(self, image: Healthcheck | None) -> Healthcheck | None:
        """This one with what it leaves open taken from the image's; None when there is no word of checks."""
        merged = self
        if image is not None:
            merged = Healthcheck(*(getattr(self, each.name) or getattr(image, each.name) for each in fields(self)))
        return merged if merged.test else None

    def to_docker(self) -> dict[str, Any]:
        """As in an image's config and in Docker's inspect document; what is 0 is left out."""
        named = {_camel(each.name.removesuffix("_ns")): getattr(self, each.name) for each in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in named.items() if value}

    @classmethod
    def from_docker(cls, value: Mapping[str, Any] | None) -> Healthcheck | None:
        """From an image's config, which another builder may have written; None when it says nothing that can be used."""
        if not isinstance(value, Mapping) or not isinstance(test := value.get("Test") or [], list) or not all(map(_is_text, test)):
            return None
        numbers = {each.name: value.get(_camel(each.name.removesuffix("_ns"))) or 0 for each in fields(cls) if each.name != "test"}
        if not all(isinstance(number, int) and number >= 0 for number in numbers.values()):
            return None
        return cls(tuple(test), **numbers)

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Healthcheck | None:
        """From a record."""
        return None if value is None else cls(**{**value, "test": tuple(value["test"])})


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def restart_policy(value: object) -> str:
    """Docker's `NAME[:MOST]`, or docker-py's {"Name": …, "MaximumRetryCount": …}, as "NAME" or "on-failure:MOST".

    Raises InvalidArgument.
    """
    if isinstance(value, Mapping):
        unknown = set(value) - {"Name", "MaximumRetryCount"}
        if unknown:
            raise InvalidArgument(f"unknown key {min(map(str, unknown))!r} of restart_policy", "keys are Name and MaximumRetryCount")
        name, most = value.get("Name") or "no", value.get("MaximumRetryCount") or 0
    elif isinstance(value, str):
        name, colon, text = value.partition(":")
        most = _most(text) if colon else 0
        name = name or "no"
    else:
        raise InvalidArgument(f"restart policy is a text or a dict: {shown(value)}", _POLICY_HINT)
    if name not in POLICIES:
        raise InvalidArgument(f"invalid restart policy: unknown policy {shown(name)}", _POLICY_HINT)
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise InvalidArgument(
            f"invalid restart policy: maximum retry count cannot be negative: {shown(most)}", "write such as on-failure:3"
        )
    if most and name != "on-failure":
        raise InvalidArgument(f"invalid restart policy: maximum retry count cannot be used with {name!r}", "it is for on-failure alone")
    return f"{name}:{most}" if most else str(name)


def _most(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        problem = f"invalid restart policy: maximum retry count must be an integer: {shown(text)}"
        raise InvalidArgument(problem, "write such as on-failure:3") from None


def healthcheck(value: object) -> Healthcheck:
    """docker-py's dict: `test` (a text for the shell, or a list that begins by CMD, CMD-SHELL or NONE), nanoseconds, `retries`.

    The keys may be written as in Docker's API, too. Raises InvalidArgument.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"healthcheck is a dict: {shown(value)}", f"its keys are {', '.join(_KEYWORDS)}")
    known = {**{key: key for key in _KEYWORDS}, **{_camel(key): key for key in _KEYWORDS}}
    given: dict[str, Any] = {}
    for key, item in value.items():
        if key not in known:
            raise InvalidArgument(f"unknown key {shown(key)} of healthcheck", f"keys are {', '.join(_KEYWORDS)}")
        if item is not None:
            given[known[key]] = item
    retries = given.get("retries", 0)
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise InvalidArgument(f"--health-retries: not a number from 0 on: {shown(retries)}", "write such as 3")
    durations = {f"{key}_ns": _nanoseconds(key, given.get(key, 0)) for key in _DURATIONS}
    return Healthcheck(_test(given.get("test")), retries=retries, **durations)


def _test(value: object) -> tuple[str, ...]:
    if value is None or value in ("", [], ()):
        return ()
    if isinstance(value, str):
        return ("CMD-SHELL", value)
    hint = 'write a text, or a list such as ["CMD", "program", "argument"]'
    if not isinstance(value, Sequence) or not all(isinstance(word, str) and "\0" not in word for word in value):
        raise InvalidArgument(f"the test is a text or a list of texts: {shown(value)}", hint)
    words = tuple(value)
    right = {"NONE": len(words) == 1, "CMD": len(words) > 1, "CMD-SHELL": len(words) == 2}
    if not right.get(words[0], False):
        raise InvalidArgument(f"the test must begin by CMD, CMD-SHELL or NONE: {shown(list(words))}", hint)
    return words


def _flag(key: str) -> str:
    return f"--health-{key.replace('_', '-')}"


def _nanoseconds(key: str, value: object) -> int:
    flag = _flag(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgument(f"{flag}: not a whole number of nanoseconds: {shown(value)}", "write such as 30 * 10**9")
    if value < 0:
        raise InvalidArgument(f"{flag}: cannot be negative: {shown(value)}", "0 is the default")
    if 0 < value < _LEAST_NS:
        raise InvalidArgument(f"{flag}: cannot be less than 1ms: {value} ns", "write such as 30 * 10**9")
    return value


def health_keywords(
    command: str | None, durations: Mapping[str, str | None], retries: str | None, *, off: bool
) -> Mapping[str, object] | None:
    """The `--health-…` flags as docker-py's dict, `durations` by its keys; None without any. Raises InvalidArgument naming the flag."""
    given = {key: text for key, text in durations.items() if text is not None}
    if off:
        if command is not None or given or retries is not None:
            named = ["--health-cmd"] * (command is not None) + [_flag(key) for key in given] + ["--health-retries"] * (retries is not None)
            raise InvalidArgument(f"conflicting options: --no-healthcheck and {', '.join(named)}", "leave one of them out")
        return {"test": ["NONE"]}
    if command is None and not given and retries is None:
        return None
    value: dict[str, object] = {"test": command or None}
    for key, text in given.items():
        with about(_flag(key)):
            value[key] = round(parse_duration_s(text) * 1e9)
    if retries is not None:
        if not retries.isascii() or not retries.isdigit():
            raise InvalidArgument(f"--health-retries: not a number from 0 on: {shown(retries)}", "write --health-retries 3")
        value["retries"] = int(retries)
    return value


CONVERTERS: Converters = {
    "restart_policy": ("restart", restart_policy),
    "restart": ("restart", restart_policy),
    "healthcheck": ("healthcheck", healthcheck),
}


def check(restart: str, remove: bool) -> None:
    """Options that do not go together; raises InvalidArgument with the names of both."""
    if remove and restart != "no":
        problem = "conflicting options: cannot specify both --restart and --rm"
        raise InvalidArgument(problem, "a container that is removed cannot be started again")
