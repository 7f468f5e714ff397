"""Which containers are meant: Docker's filters of `ps` and `container prune`; it must not start, stop or remove anything."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from labcontainers.containers.container import Container
from labcontainers.containers.options.flags import about
from labcontainers.containers.state import ContainerState
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.image import Image
from labcontainers.units import parse_moment_s

Filters = Mapping[str, str | int | Sequence[str]]
Wanted = dict[str, list[str]]

_LIST = (
    "id", "name", "status", "exited", "label", "network", "ancestor", "before", "since", "expose", "publish", "volume", "health",
)  # fmt: skip
_PRUNE = ("label", "label!", "until")
_NOT_HERE = {"is-task": "there is no swarm", "isolation": "that is a matter of Windows"}
_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTH = ("starting", "healthy", "unhealthy", "none")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")


def list_filters(filters: Filters) -> Wanted:
    """The filters of `ps`, checked; raises InvalidArgument, or Unsupported for one that Docker has."""
    return _checked(filters, _LIST)


def prune_filters(filters: Filters) -> Wanted:
    """The filters of `container prune`, checked; raises InvalidArgument."""
    return _checked(filters, _PRUNE)


def _checked(filters: Filters, known: tuple[str, ...]) -> Wanted:
    with about("--filter"):
        return _understood(filters, known)


def _understood(filters: Filters, known: tuple[str, ...]) -> Wanted:
    wanted = {key: [str(value)] if isinstance(value, str | int) else [str(item) for item in value] for key, value in filters.items()}
    for key, values in wanted.items():
        if key in _NOT_HERE:
            raise Unsupported(f"the filter {key!r} is not supported: {_NOT_HERE[key]}", f"filters are {', '.join(known)}")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"filters are {', '.join(known)}"
            raise InvalidArgument(f"unknown filter {key!r}", hint)
        for value in values:
            _check_value(key, value)
    return wanted


def _check_value(key: str, value: str) -> None:
    if key == "status" and value not in _STATUSES:
        raise InvalidArgument(f"invalid filter 'status={value}'", f"a status is one of {', '.join(_STATUSES)}")
    if key == "health" and value not in _HEALTH:
        raise InvalidArgument(f"invalid filter 'health={value}'", f"health is one of {', '.join(_HEALTH)}")
    if key == "exited" and not value.lstrip("-").isdigit():
        raise InvalidArgument(f"invalid filter 'exited={value}'", "write a number, such as exited=0")
    if key in ("expose", "publish") and _port_numbers(value) is None:
        raise InvalidArgument(f"invalid filter '{key}={value}'", "write PORT, PORT/PROTOCOL or FIRST-LAST, such as 80/tcp")
    if key == "until":
        try:
            parse_moment_s(value, time.time())
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid filter 'until={value}': {error.message}", error.hint) from None
    if key == "name":
        try:
            re.compile(value)
        except re.error as error:
            raise InvalidArgument(f"invalid filter 'name={value}': {error}", "write a part of the name, or a regular expression") from None


def _port_numbers(text: str) -> tuple[range, str] | None:
    """The ports and the protocol, tcp unless it is said; None for a text that names none."""
    found = _PORT.fullmatch(text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return (range(first, last + 1), found[3] or "tcp") if first <= last <= 65535 else None


def has_label(labels: Mapping[str, str], text: str) -> bool:
    """Whether KEY, or KEY=VALUE, is among the labels."""
    key, separator, value = text.partition("=")
    return key in labels and (not separator or labels[key] == value)


def select(
    containers: Iterable[tuple[Container, ContainerState]],
    wanted: Wanted,
    get: Callable[[str], Container],
    find_image: Callable[[str], Image | None],
) -> list[Container]:
    """Those that all filters want, in their order.

    Docker's rules: values of one filter are alternatives, but labels must all match; a name is a regular expression; an ancestor is an
    image or one that it was made from. `get` finds the containers that `before` and `since` name, and `find_image` an ancestor; raises
    as they do.
    """
    before = [get(name).created_at for name in wanted.get("before", ())]
    since = [get(name).created_at for name in wanted.get("since", ())]
    ancestors = [find_image(name) for name in wanted.get("ancestor", ())]
    kept = []
    for container, state in containers:
        in_time = all(container.created_at < at for at in before) and all(container.created_at > at for at in since)
        descends = not ancestors or any(image is not None and _descends(container, image) for image in ancestors)
        if in_time and descends and _matches(container, state, wanted):
            kept.append(container)
    return kept


def _matches(container: Container, state: ContainerState, wanted: Wanted) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda value: container.id.startswith(value),
        "name": lambda value: re.search(value, container.name) is not None or re.search(value, "/" + container.name) is not None,
        "status": lambda value: state.status == value,
        "exited": lambda value: state.status == "exited" and state.exit_code == int(value),
        "network": lambda value: container.network == value,
        "expose": lambda value: _has_port(container.exposed_ports, value),
        "publish": lambda value: _has_port([f"{port.container_port}/{port.protocol}" for port in container.ports], value),
        "volume": lambda value: any(value in (mount.get("Name"), mount["Source"], mount["Destination"]) for mount in _mounts(container)),
        "health": lambda value: (getattr(state, "health", "") or "none") == value,
    }
    labels = container.labels
    return all(has_label(labels, value) for value in wanted.get("label", ())) and all(
        any(map(tests[key], values)) for key, values in wanted.items() if key in tests
    )


def _has_port(ports: Iterable[str], value: str) -> bool:
    numbers, protocol = _port_numbers(value) or (range(0), "")
    return any(int(number) in numbers and kind == protocol for number, _, kind in (port.partition("/") for port in ports))


def _mounts(container: Container) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = container.inspect()["Mounts"]
    return mounts


def _descends(container: Container, image: Image) -> bool:
    """Whether its image is this one, or has layers above all of this one's."""
    own, below = container.layers, image.diff_ids
    return container.image_id == image.id or (0 < len(below) < len(own) and own[: len(below)] == below)


def may_be_pruned(container: Container, wanted: Wanted) -> bool:
    """Whether `container prune` with these filters means a container that does not run."""
    labels = container.labels
    return (
        all(has_label(labels, text) for text in wanted.get("label", ()))
        and not any(has_label(labels, text) for text in wanted.get("label!", ()))
        and all(container.created_at < parse_moment_s(text, time.time()) for text in wanted.get("until", ()))
    )
