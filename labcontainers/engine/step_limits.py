"""The keywords of `engine.images.build` that say what each RUN may use, checked before anything is built.

It must not know how a step is run. They are those of run(), and docker-py's other names for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from labcontainers.build.source_dates import SOURCE_DATE_EPOCH
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.forms import shown
from labcontainers.errors import InvalidArgument, Unsupported

LIMITS = (
    "mem_limit", "memswap_limit", "cpu_shares", "cpu_period", "cpu_quota", "cpuset_cpus", "cpuset_mems", "shm_size", "ulimits",
    "extra_hosts", "cgroup_parent",
)  # fmt: skip
# docker-py's names: of its dict `container_limits`, and of its own.
_CONTAINER_LIMITS = {"memory": "mem_limit", "memswap": "memswap_limit", "cpushares": "cpu_shares", "cpusetcpus": "cpuset_cpus"}
_SHM_SIZE = "shmsize"
# What the classic builder of Docker has, without effect here, as in BuildKit; and what only that could do, with its unset values.
_WITHOUT_EFFECT = ("rm", "forcerm", "gzip", "quiet")
_REFUSED: Mapping[str, tuple[str, tuple[object, ...]]] = {
    "isolation": ("it exists on Windows only", (None, "", "default")),
}
NO_LIMITS = ContainerOptions()
KEYWORDS = (*LIMITS, "container_limits", _SHM_SIZE, *_WITHOUT_EFFECT, *_REFUSED)


def take_limits(keywords: dict[str, Any], network: str) -> ContainerOptions:
    """What holds for each RUN on this network, as options of a container; what it is made of is taken out of `keywords`.

    Raises InvalidArgument and Unsupported.
    """
    said = {key: keywords.pop(key) for key in KEYWORDS if key in keywords}
    for key, (why, unset) in _REFUSED.items():
        if key in said and not any(said[key] is one or (isinstance(one, str) and said[key] == one) for one in unset):
            raise Unsupported(f"--{key}: {shown(said[key])} is not supported: {why}", "leave it out")
    given = {**_container_limits(said.get("container_limits")), **{key: said[key] for key in LIMITS if key in said}}
    if said.get(_SHM_SIZE) is not None:
        given["shm_size"] = said[_SHM_SIZE]
    return ContainerOptions.from_keywords(network=network, **given)


def _container_limits(value: object) -> dict[str, Any]:
    """docker-py's dict as keywords of run(); raises InvalidArgument."""
    if value is None:
        return {}
    wrong = [key for key in value if key not in _CONTAINER_LIMITS] if isinstance(value, Mapping) else [value]
    if wrong or not isinstance(value, Mapping):
        raise InvalidArgument(f"container_limits: invalid: {shown(wrong[0])}", f"its keys are {', '.join(_CONTAINER_LIMITS)}")
    return {_CONTAINER_LIMITS[key]: item for key, item in value.items()}


def with_time(build_args: Mapping[str, str]) -> dict[str, str]:
    """The build arguments with SOURCE_DATE_EPOCH of this process' environment, where it has one and they have not, as buildx does."""
    said = os.environ.get(SOURCE_DATE_EPOCH)
    return {**({SOURCE_DATE_EPOCH: said} if said else {}), **build_args}
