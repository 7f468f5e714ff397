"""What a run would do, without doing it: everything is checked and planned, and nothing is made or written down.

It must not make anything; only an embedded base image is made where it is asked for and not there yet.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from labcontainers.containers.explain.docker_command import docker_run
from labcontainers.containers.explain.explanation import Explanation, explain
from labcontainers.containers.explain.shell_script import UNKNOWN
from labcontainers.containers.joined import check_owners, open_joined
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options import namespaces as namespace_options
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.network import published
from labcontainers.containers.planning import confinement, etc_files, host_root, mount_plan, prepare
from labcontainers.containers.planning.host_root import Ground, ground_of
from labcontainers.containers.planning.limits import limits_of
from labcontainers.containers.register import Record
from labcontainers.containers.seat import NOBODY
from labcontainers.containers.start_notes import StartNotes, groups_of
from labcontainers.images.image import Image
from labcontainers.kernel import cgroup_devices
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.kernel.notes import Notes
from labcontainers.networks.endpoints import host_interface_of
from labcontainers.runtime import plan as plans
from labcontainers.store.records import ContainerRow
from labcontainers.volumes.volume import Volume
from labcontainers.volumes.volumes import ImageContent, Volumes


class PlannedVolumes:
    """Stands where Volumes stands, and makes none: a volume that is not there is told as it would be."""

    def __init__(self, volumes: Volumes, root: Path) -> None:
        self._volumes = volumes
        self._root = root

    def use(
        self, name: str, container_id: str, *, labels: dict[str, str], options: dict[str, str], content: ImageContent | None, notes: Notes
    ) -> Volume:
        """The volume of this name, as it is or as it would be; one that is there is taken for filled."""
        found = self._volumes.find(name)
        if found is not None:
            return found
        volume = Volume(name, self._root / name / "_data", time.time(), labels=labels, options=options)
        notes.add("make_volume", name=name, path=str(volume.mountpoint))
        if content is not None and any(os.path.isdir(layer + content.path) for layer in content.lower):
            notes.add("copy_up", source=content.path, target=volume.backing.device or str(volume.mountpoint))
        return volume

    def join(self, name: str, container_id: str) -> Volume:
        """The volume of this name; raises NotFound."""
        return self._volumes.get(name)

    def release(self, name: str, container_id: str, *, remove: bool) -> None:
        """Nothing was taken."""


def dry_run(lifecycle: Lifecycle, image: str | Image | None, command: tuple[str, ...], options: ContainerOptions) -> Explanation:
    """The operations that would make this container, each with the result "planned".

    Raises what the run would raise before it makes anything: NotFound, InvalidArgument, Conflict, Unsupported.
    """
    lifecycle.check(options)
    options = namespace_options.resolved(options, lambda name: lifecycle.get(name).row.id)
    check_owners(options, lifecycle.get)
    ground = ground_of(image, options, lifecycle.catalog.get, rootless=lifecycle.launcher.rootless)
    options = host_root.settled(options, lifecycle.store.paths.root, rootless=lifecycle.launcher.rootless)
    record = _record(lifecycle, ground, command, options)
    with contextlib.ExitStack() as keep:
        joined = open_joined(options, lifecycle.get, keep)
    notes = StartNotes(record.directory)
    host = lifecycle.host()
    notes.host(host)
    _etc(record, notes)
    cgroup = _groups(lifecycle, record, notes)
    spec, warnings = lifecycle.spec(record, joined, cgroup, "")
    if options.tty:
        spec = replace(spec, terminal=NOBODY.size)
    ports, unpublished = published(options, record.config.exposed_ports)
    notes.plan(spec, plans.plan_container(spec, host), cgroup, warnings, joined)
    for port in ports:
        notes.add("listen", address=port.host_ip, port=port.host_ports if port.last_host_port else port.host_port, to=port.container_port)
    notes.ports(ports, (*warnings, *unpublished))
    if spec.network == "bridge":
        _bridge(lifecycle, record, notes.connect)
        _etc(record, notes.connect)
        notes.document["connect"] = notes.connect.entries
    docker = docker_run(options, record.row.image, command)
    return explain(record.row.name, notes.document, {}, docker, made=record.made, planned=True)


def _etc(record: Record, notes: Notes) -> None:
    for name in etc_files.NAMES:
        notes.add("etc_file", path=f"{record.directory}/etc/{name}")


def _groups(lifecycle: Lifecycle, record: Record, notes: Notes) -> Cgroup:
    """The control groups with their limits."""
    limits = limits_of(record.options)
    cgroup = lifecycle.hierarchy().planned(record.row.id, limits.cpuset)
    if groups_of(cgroup):
        notes.add("make_cgroups", paths=groups_of(cgroup), spare=False)
    for path, value in cgroup.writes(limits):
        notes.add("limit", path=path, value=value)
    binds = [point.bound or point.source for point in record.mounts]
    rules = confinement.device_rules(record.options, lifecycle.launcher.rootless, binds)
    if rules is not None:
        cgroup, told = cgroup_devices.planned(cgroup, record.row.id, rules)
        notes.entries += told.entries
    return cgroup


def _record(lifecycle: Lifecycle, ground: Ground, command: tuple[str, ...], options: ContainerOptions) -> Record:
    """The record that would be written down."""
    container_id = secrets.token_hex(32)
    name = options.name or "a container with a name of its own"
    row = ContainerRow(container_id, name, ground.name, ground.id, "", time.time())
    config = ground.config
    words = prepare.command_line(config, options, command)
    points: tuple[Any, ...] = ()
    notes = Notes()
    notes.add("make_directories", path=str(lifecycle.directory(container_id)))
    if mount_plan.wants_mounts(with_parts := host_root.with_parts(options), config):
        lower = lifecycle.store.snapshots.lower_paths(ground.diff_ids) if options.rootfs is None else (options.rootfs,)
        volumes = PlannedVolumes(lifecycle.volumes, lifecycle.store.paths.root / "volumes")
        settler = mount_plan.MountSettler(
            volumes, container_id, lower, lambda other: lifecycle.get(other).mounts, lifecycle.catalog.get, notes
        )
        points = settler.settle(with_parts, config)
    return Record(row, options, config, words, ground.diff_ids, lifecycle.directory(container_id), points, tuple(notes.entries))


def _bridge(lifecycle: Lifecycle, record: Record, notes: Notes) -> None:
    """The place in the bridge network; its address is chosen when it starts."""
    network = lifecycle.networks.get("bridge")
    bridge, length, gateway = network.bridge or "BRIDGE", network.prefix_length or 16, network.gateway or "GATEWAY"
    address = f"{UNKNOWN}/{length}"
    if not lifecycle.networks.is_up(network, here=not lifecycle.launcher.rootless):
        notes.add("bridge", interface=bridge, mac=network.mac if network.id else "MAC")
        notes.add("address", interface=bridge, address=f"{gateway}/{length}")
        if lifecycle.launcher.rootless:
            notes.add("link_up", interface="lo")
        notes.add("link_up", interface=bridge)
    mac = record.options.mac_address or "MAC"
    notes.add("veth", outside=host_interface_of(record.row.id), inside="eth0", bridge=bridge, mac=mac)
    notes.add("address", interface="eth0", address=address, inside=True)
    notes.add("link_up", interface="eth0", inside=True)
    notes.add("link_up", interface="lo", inside=True)
    notes.add("route", gateway=gateway, inside=True)
