"""Why an ability is missing and the exact way to get it, from what failed and what the host says of itself.

It must not try anything: it is text and rules over the findings of `probe_child`, so that every host can be tested on any.
"""

from __future__ import annotations

import errno as errors
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

Result = Mapping[str, Any]
Facts = Mapping[str, Any]

MOUNTS: Final = ("tmpfs", "overlay", "fresh /proc", "sysfs", "pivot_root")
NETWORK: Final = ("network namespace", "veth and bridge", "tun device")
NAMESPACES: Final = ("user namespace", "single id map")
ALL_IDS: Final = (1 << 32) - 1
_REFUSED: Final = (errors.EPERM, errors.EACCES)

APPARMOR_FIX: Final = (
    "echo 'kernel.apparmor_restrict_unprivileged_userns=0' | sudo tee /etc/sysctl.d/60-labcontainers.conf && sudo sysctl --system"
)
STORE_FIX: Final = "export LABCONTAINERS_ROOT=DIRECTORY, with a directory on ext4, xfs, btrfs or tmpfs"
OUTER_FIX: Final = (
    "start the outer container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
    "systempaths=unconfined (Docker), or ask the operator for a pod with hostUsers: false and procMount: Unmasked (Kubernetes)"
)
_MORE_IDS_FIX: Final = "give the outer container more ids: hostUsers: false (Kubernetes), root in the container (rootless Docker, Podman)"
_ROOT_FIX: Final = f"{OUTER_FIX}, and with --cap-add SYS_ADMIN"
_DELEGATE_FIX: Final = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee "
    "/etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, then start Jupyter by: "
    "systemd-run --user --scope -p Delegate=yes jupyter lab"
)
_OF_VERSION_1: Final = "control groups of version 1 cannot be given to ordinary users: limits are not enforced, the rest works"
_UNIFIED_FIX: Final = "boot the kernel with systemd.unified_cgroup_hierarchy=1 on its command line"
_GRUB_FIX: Final = (
    "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && sudo update-grub && sudo reboot"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """One explanation: for these checks, these errnos (none given: any) and hosts of which `when` is true."""

    checks: Collection[str]
    errnos: Collection[int]
    when: Callable[[Facts, Result], bool]
    reason: str
    fix: str


def _sysctl(name: str, value: str) -> Callable[[Facts, Result], bool]:
    return lambda facts, result: facts["sysctls"].get(name) == value


def _always(facts: Facts, result: Result) -> bool:
    return True


def _nested(facts: Facts, result: Result) -> bool:
    return bool(facts["ids"] < ALL_IDS)


def _without_v2(facts: Facts, result: Result) -> bool:
    return bool(facts["euid"] != 0 and "v2" not in result.get("detail", ""))


def _apparmor(facts: Facts, result: Result) -> bool:
    return bool(not facts["host_root"] and facts["sysctls"].get("apparmor_userns") == "1")


# The first that fits is told, so the particular stand before the general.
CAUSES: Final[tuple[Cause, ...]] = (
    Cause(("user namespace",), (errors.ENOSPC,), _nested,
          "the user namespace around this process allows no more of them, as that of a sandbox does (bubblewrap, Flatpak)",
          "start Jupyter outside of the sandbox (bubblewrap: without --disable-userns)"),
    Cause(("user namespace",), (errors.ENOSPC,), _sysctl("max_user_namespaces", "0"), "user.max_user_namespaces is 0",
          "sudo sysctl -w user.max_user_namespaces=28633"),
    Cause(("user namespace",), (errors.ENOSPC,), _always, "too many user namespaces exist, or they are nested more than 32 deep",
          "sudo sysctl -w user.max_user_namespaces=28633"),
    Cause(("user namespace",), _REFUSED, _sysctl("userns_clone", "0"), "kernel.unprivileged_userns_clone is 0",
          "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    Cause((*NAMESPACES, *MOUNTS, *NETWORK), _REFUSED, _apparmor,
          "AppArmor takes all rights from user namespaces of programs without a profile (Ubuntu 23.10 and later)", APPARMOR_FIX),
    Cause(("user namespace",), (*_REFUSED, errors.ENOSYS), lambda facts, result: facts["seccomp"],
          "the seccomp filter of an outer container forbids it", OUTER_FIX),
    Cause(("user namespace",), (errors.EINVAL, errors.ENOSYS), _always, "the kernel was built without CONFIG_USER_NS",
          "use a kernel with CONFIG_USER_NS=y"),
    Cause(("user namespace",), _REFUSED, _always, "this process may not make user namespaces (in a chroot, or by a security module)",
          "run outside of the chroot, or allow it in the security module's policy"),
    Cause(("subordinate ids",), (), lambda facts, result: _nested(facts, result) and facts["ids"] == 1,
          "the user namespace around this process has one id, so that there is none to give", _MORE_IDS_FIX),
    Cause(("subordinate ids",), (), lambda facts, result: not facts["named"] and facts["euid"] != 0,
          "this user id has no name, and newuidmap gives ids only to users of /etc/passwd",
          "sudo useradd --no-create-home --uid {user} lab{user} && echo lab{user}:{free}:65536 | sudo tee -a /etc/subuid /etc/subgid"),
    Cause(("subordinate ids",), (), lambda facts, result: bool(result.get("no_ranges")),
          "this user has no ranges in /etc/subuid and /etc/subgid",
          "echo {user}:{free}:65536 | sudo tee -a /etc/subuid /etc/subgid"),
    Cause(("subordinate ids",), (errors.ENOENT,), _always, "newuidmap and newgidmap are not installed",
          "sudo apt-get install uidmap (Debian, Ubuntu) or sudo dnf install shadow-utils (Fedora)"),
    Cause(("subordinate ids",), (), lambda facts, result: facts["no_new_privs"],
          "no_new_privs is set for this process, so that setuid programs such as newuidmap have no effect",
          "start it without: allowPrivilegeEscalation: true (Kubernetes), no --security-opt no-new-privileges (Docker), "
          "NoNewPrivileges=no (systemd)"),
    Cause(("subordinate ids",), (), _nested,
          "the ranges of /etc/subuid and /etc/subgid are not mapped in the user namespace around this process", _MORE_IDS_FIX),
    Cause(("subordinate ids",), (), _always, "newuidmap or newgidmap refused, or is not setuid root ({said})",
          "sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap"),
    Cause(("fresh /proc",), _REFUSED, lambda facts, result: bool(facts["masked_proc"]),
          "an outer container masks parts of /proc, and the kernel then allows no fresh one inside user namespaces", OUTER_FIX),
    Cause(("sysfs",), _REFUSED, lambda facts, result: bool(facts["masked_sys"]),
          "an outer container masks parts of /sys, and the kernel then allows no fresh one inside user namespaces", OUTER_FIX),
    Cause(("host name",), _REFUSED, lambda facts, result: facts["seccomp"],
          "the seccomp filter of an outer container forbids sethostname(2): containers have its name, and all else works", OUTER_FIX),
    Cause(("overlay",), (errors.ENODEV,), _always, "the kernel has no overlay file system, or its module is not loaded",
          "sudo modprobe overlay"),
    Cause(("overlay",), (errors.EINVAL, errors.EOPNOTSUPP), _always,
          "the store's file system cannot hold an overlay's upper directory (an overlay itself, NFS, or without user xattrs), or the "
          "kernel is older than 5.11", STORE_FIX),
    Cause(("overlay",), (errors.ENOSPC, errors.EDQUOT), _always, "the store's file system is full", "free some space"),
    Cause((*MOUNTS, *NETWORK), _REFUSED, lambda facts, result: facts["host_root"],
          "root lacks CAP_NET_ADMIN, or a security module or seccomp filter of an outer container forbids it", OUTER_FIX),
    Cause(("tun device",), (errors.ENOENT,), _always, "/dev/net/tun does not exist",
          "sudo modprobe tun; sudo mkdir -p /dev/net; sudo mknod -m 666 /dev/net/tun c 10 200"),
    Cause(("tun device",), (errors.ENODEV, errors.ENXIO), _always, "the kernel's tun driver is not loaded", "sudo modprobe tun"),
    Cause(("tun device",), _REFUSED, _always, "/dev/net/tun may not be opened by this user, or its device group forbids it",
          "sudo chmod 666 /dev/net/tun (in a container: start it with --device /dev/net/tun)"),
    Cause(("veth and bridge",), (errors.EOPNOTSUPP, errors.ENODEV), _always, "the kernel's bridge or veth module is not loaded",
          "sudo modprobe -a bridge veth"),
    Cause(("network namespace",), (errors.ENOSPC,), _always, "user.max_net_namespaces is reached",
          "sudo sysctl -w user.max_net_namespaces=28633"),
    Cause(("control groups",), _REFUSED, lambda facts, result: _without_v2(facts, result) and facts["grub"], _OF_VERSION_1, _GRUB_FIX),
    Cause(("control groups",), _REFUSED, _without_v2, _OF_VERSION_1, _UNIFIED_FIX),
    Cause(("control groups",), _REFUSED, lambda facts, result: facts["euid"] != 0,
          "this user's control group is not delegated: limits are not enforced, the rest works", _DELEGATE_FIX),
    Cause(("control groups",), (errors.EROFS, *_REFUSED), _always,
          "the control groups are read-only, as an outer container has them: limits are not enforced, the rest works",
          "start the outer container with --cgroupns=private and writable control groups (--privileged)"),
    Cause(("control groups",), (errors.ENOENT,), _always, "no control groups are mounted: limits are not enforced, the rest works",
          "sudo mount -t cgroup2 none /sys/fs/cgroup"),
    Cause(("seccomp filter",), (errors.EINVAL, errors.ENOSYS), _always, "the kernel was built without CONFIG_SECCOMP_FILTER",
          "use a kernel with CONFIG_SECCOMP_FILTER=y"),
    Cause(("openat2",), (errors.ENOSYS, *_REFUSED), lambda facts, result: facts["seccomp"],
          "the seccomp filter of an outer container hides it, and without it no path of an image can be opened safely", OUTER_FIX),
    Cause(("clone3", "pidfd"), (errors.ENOSYS, *_REFUSED), lambda facts, result: facts["seccomp"],
          "the seccomp filter of an outer container hides it; an older call is used instead", OUTER_FIX),
    Cause(("clone3",), (), _always, "needs Linux 5.3; clone(2) is used instead", "use a newer kernel"),
    Cause(("openat2",), (), _always, "needs Linux 5.6", "use a newer kernel"),
    Cause(("pidfd",), (), _always, "needs Linux 5.3", "use a newer kernel"),
    Cause(("memfd exec",), _REFUSED, lambda facts, result: facts["sysctls"].get("memfd_noexec") in ("1", "2"),
          "vm.memfd_noexec forbids running programs from memory files; the interpreter's own file is used instead",
          "sudo sysctl -w vm.memfd_noexec=0"),
    Cause(("memfd exec",), (), _always, "a security module forbids running programs from memory files", "allow it in the module's policy"),
    Cause((*MOUNTS, *NETWORK), _REFUSED, lambda facts, result: facts["outer"] != "",
          "a security module of the outer container forbids it inside user namespaces", OUTER_FIX),
)  # fmt: skip


def explain(name: str, result: Result, facts: Facts, user: str = "USER") -> tuple[str, str]:
    """(reason, fix) for a check that failed; the reason begins with the errno's name and text."""
    number = result.get("errno", 0)
    said = f"{errors.errorcode.get(number, number)}, {os.strerror(number).lower()}: " if number else ""
    if result.get("barred") and not facts["host_root"] and not _apparmor(facts, result):
        if name in NAMESPACES or name == "subordinate ids":
            return f"{said}needs a user namespace, which cannot be made", "see 'user namespace'"
        if facts["euid"] == 0:
            return f"{said}root lacks CAP_SYS_ADMIN here, and the user namespace that would do cannot be made or mapped", _ROOT_FIX
        return f"{said}needs a user namespace, which cannot be made or mapped", "see 'user namespace' and 'single id map'"
    for cause in CAUSES:
        if name in cause.checks and (not cause.errnos or number in cause.errnos) and cause.when(facts, result):
            reason = said + cause.reason.replace("{said}", result.get("detail") or "it did not say why")
            return reason, cause.fix.replace("{user}", user).replace("{free}", str(facts["free_ids"]))
    return said + (result.get("detail") or "refused by the kernel"), "look into the kernel's log: sudo dmesg | tail"
