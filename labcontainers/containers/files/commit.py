"""`commit`: what a container has changed becomes a layer, and its options the config of a new image.

It must not know Dockerfiles: what changes a config is passed in (Lifecycle.change_config).

Source: docs.docker.com "docker container commit"; moby's daemon/commit.go and image.NewChildImage.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from labcontainers.containers.files.frozen_layers import Chain, chain_of, commit_tree
from labcontainers.containers.inspect.mounts import volume_paths
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.pause import pause as pause_container
from labcontainers.containers.pause import unpause as unpause_container
from labcontainers.containers.planning import prepare
from labcontainers.containers.register import Record
from labcontainers.containers.trees import trees_of
from labcontainers.containers.upkeep import healthcheck_of
from labcontainers.errors import Conflict, InvalidArgument, Unsupported
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.oci.reference import new_name, parse_reference
from labcontainers.store import layer_line
from labcontainers.store.layout import while_making
from labcontainers.store.space import tells_full_disk


@tells_full_disk(lambda lifecycle: lifecycle.store.paths.root)
@while_making(lambda lifecycle: lifecycle.store)
def commit(
    lifecycle: Lifecycle,
    record: Record,
    repository: str | None = None,
    tag: str | None = None,
    *,
    message: str = "",
    author: str = "",
    changes: str | Sequence[str] = (),
    pause: bool = True,
) -> Image:
    """A new image of the container as it is now, named `repository:tag` if that is given; volumes are not part of it.

    `changes` are Dockerfile instructions for its config. With `pause` a running container stands still while its files are copied,
    where this host can freeze it. Raises InvalidArgument, InvalidReference, NotFound, Conflict; blocks.
    """
    lifecycle.state(record)
    names = _names(repository, tag)
    config = lifecycle.change_config(run_config(record), (changes,) if isinstance(changes, str) else tuple(changes))
    line = layer_line.read(record.directory)
    chain = chain_of(lifecycle, record, line, line.base)
    trees = trees_of(lifecycle.store.snapshots, record, line)
    still = standing_still(lifecycle, record, pause)
    layer = commit_tree(lifecycle, record, trees.upper, trees.lower, chain.diff_ids, still=still)
    created = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    command = " ".join(run_config(record).cmd or ())
    chain.add(layer, HistoryEntry(created, command, message, layer is None, {"author": author} if author else {}))
    image = lifecycle.catalog.put(image_config(lifecycle, record, config, chain, author), chain.layers, names)
    known_as = parse_reference(names[0]).familiar if names else ""
    lifecycle.tell(record, "commit", {"comment": message, "imageID": image.id, "imageRef": known_as})
    return image


def _names(repository: str | None, tag: str | None) -> list[str]:
    if not repository:
        if tag:
            raise InvalidArgument(f"commit: a tag without a repository: {tag!r}", "name the repository, too")
        return []
    name = f"{repository}:{tag}" if tag else repository
    new_name(name)
    return [name]


def run_config(record: Record) -> ProcessConfig:
    """The image's config with what the container's options changed; ONBUILD triggers are not handed on, as in Docker."""
    options, config = record.options, record.config
    check = healthcheck_of(config, options)
    extra = {key: value for key, value in config.extra.items() if key not in ("OnBuild", "Healthcheck")}
    published = (f"{port.container_port}/{port.protocol}" for port in options.ports)
    entrypoint = options.entrypoint if options.entrypoint is not None else config.entrypoint
    start = len(entrypoint or ())
    return replace(
        config,
        user=options.user or config.user,
        env=prepare.merge_environment(config.env, options.environment),
        entrypoint=entrypoint or None,
        cmd=record.command[start:] or None,
        working_dir=options.working_dir or config.working_dir,
        labels={**config.labels, **dict(options.labels)},
        stop_signal=options.stop_signal or config.stop_signal,
        exposed_ports=tuple(sorted({*config.exposed_ports, *options.exposed_ports, *published})),
        volumes=tuple(volume_paths(options, config.volumes) or ()),
        extra=extra if check is None else {**extra, "Healthcheck": check.to_docker()},
    )


@contextlib.contextmanager
def standing_still(lifecycle: Lifecycle, record: Record, wanted: bool) -> Iterator[None]:
    """While it lasts, a running container stands still, if that is `wanted` and can be had here."""
    frozen = False
    if wanted and lifecycle.state(record).status == "running":
        # One that cannot be frozen is copied as it goes; one that has just ended, or was paused by somebody else, stands still.
        with contextlib.suppress(Unsupported, Conflict):
            pause_container(lifecycle, record)
            frozen = True
    try:
        yield
    finally:
        if frozen:
            with contextlib.suppress(Conflict):
                unpause_container(lifecycle, record)


def image_config(lifecycle: Lifecycle, record: Record, config: ProcessConfig, chain: Chain, author: str = "") -> ImageConfig:
    """The whole config of an image with the layers and history of `chain`, made when its last entry was."""
    found = lifecycle.catalog.find(record.row.image_id)
    if found is not None:
        parent = found.config
    else:
        # The image was removed by force; its layers are still those of the container.
        platform = host_platform()
        parent = ImageConfig(
            platform.architecture, platform.os, config, record.diff_ids, tuple(HistoryEntry("", "") for _ in record.diff_ids)
        )
    history = (*parent.history, *chain.history)
    return replace(
        parent, config=config, diff_ids=chain.diff_ids, history=history, created=history[-1].created if history else "", author=author
    )
