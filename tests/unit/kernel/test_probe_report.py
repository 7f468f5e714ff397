from __future__ import annotations

import errno
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import pytest

from labcontainers.kernel import levels
from labcontainers.kernel.probe import Check, Report, probe
from labcontainers.kernel.probe_attempts import ORDINARY, PRIVILEGED
from labcontainers.kernel.probe_reasons import explain

NAMES = ("user namespace", "single id map", "subordinate ids", *PRIVILEGED, *ORDINARY)
SYSCTLS = {"max_user_namespaces": "9000", "userns_clone": "", "apparmor_userns": "", "memfd_noexec": "0"}
FACTS: dict[str, Any] = {
    "euid": 1000, "host_root": False, "ids": (1 << 32) - 1, "named": True, "grub": True, "store_refused": "",
    "capabilities": 0, "no_new_privs": False, "seccomp": False, "sysctls": SYSCTLS, "label": "", "masked_proc": [],
    "masked_sys": [], "release": "6.1.0", "outer": "", "free_ids": 165536,
}  # fmt: skip


class InventedHost:
    """A host where these checks fail with these errnos."""

    def __init__(self, failures: Mapping[str, int], **facts: Any) -> None:
        results = {name: {"ok": name not in failures, "errno": failures.get(name, 0), "detail": ""} for name in NAMES}
        self.answer = {"results": results, "facts": {**FACTS, **facts}}

    def findings(self, store: Path | None) -> Mapping[str, Any]:
        return self.answer

    def user_name(self) -> str:
        return "ada"


EVERYWHERE = dict.fromkeys(PRIVILEGED, errno.EPERM)


@pytest.mark.parametrize(
    ("failures", "facts", "level"),
    [
        ({}, {"euid": 0, "host_root": True}, "root"),
        ({}, {"euid": 0}, "rootless"),
        ({"subordinate ids": 0}, {"euid": 0, "ids": 1}, "single-id"),
        ({}, {}, "rootless"),
        ({"subordinate ids": 0}, {}, "single-id"),
        ({"subordinate ids": 0}, {"euid": 0, "host_root": True}, "root"),
        ({"fresh /proc": errno.EPERM}, {}, "masked-proc"),
        ({"overlay": errno.EINVAL}, {}, "no-mounts"),
        ({"single id map": errno.EPERM, **EVERYWHERE}, {}, "no-mounts"),
        ({"user namespace": errno.EPERM, "single id map": errno.EPERM, **EVERYWHERE}, {}, "none"),
        (EVERYWHERE, {"euid": 0, "host_root": True}, "no-mounts"),
        ({"control groups": errno.EACCES, "tun device": errno.ENOENT, "clone3": errno.ENOSYS}, {}, "rootless"),
    ],
)
def test_the_level_follows_from_what_works(failures: dict[str, int], facts: dict[str, Any], level: str) -> None:
    report = probe(host=InventedHost(failures, **facts))
    assert report.level == level
    assert report.ok == (level not in ("no-mounts", "none"))


@pytest.mark.parametrize(
    ("name", "number", "facts", "reason", "fix"),
    [
        ("user namespace", errno.ENOSPC, {"sysctls": {"max_user_namespaces": "0"}}, "max_user_namespaces is 0", "sysctl -w user.max_user"),
        ("user namespace", errno.EPERM, {"sysctls": {"userns_clone": "0"}}, "unprivileged_userns_clone is 0", "userns_clone=1"),
        ("user namespace", errno.EPERM, {"seccomp": True}, "seccomp filter of an outer container", "--security-opt seccomp=unconfined"),
        ("single id map", errno.EPERM, {"sysctls": {"apparmor_userns": "1"}}, "AppArmor", "apparmor_restrict_unprivileged_userns=0"),
        ("tmpfs", errno.EACCES, {"sysctls": {"apparmor_userns": "1"}}, "AppArmor", "apparmor_restrict_unprivileged_userns=0"),
        ("tmpfs", errno.EPERM, {"euid": 0, "host_root": True}, "security module", "apparmor=unconfined"),
        ("user namespace", errno.ENOSPC, {"ids": 1}, "allows no more of them, as that of a sandbox", "outside of the sandbox"),
        ("tmpfs", errno.EACCES, {"outer": "Kubernetes"}, "security module of the outer container", "hostUsers: false"),
        ("subordinate ids", errno.ENOENT, {}, "not installed", "apt-get install uidmap"),
        ("subordinate ids", errno.EPERM, {"no_new_privs": True}, "no_new_privs is set", "allowPrivilegeEscalation: true"),
        ("subordinate ids", errno.EPERM, {"ids": 1}, "has one id", "hostUsers: false"),
        ("subordinate ids", errno.EPERM, {"ids": 1000}, "not mapped in the user namespace around", "hostUsers: false"),
        ("subordinate ids", errno.EPERM, {"named": False}, "has no name", "sudo useradd --no-create-home --uid ada labada && "),
        ("subordinate ids", errno.EPERM, {}, "(newuidmap: it said so)", "chmod u+s"),
        ("fresh /proc", errno.EPERM, {"masked_proc": ["/proc/kcore"]}, "masks parts of /proc", "systempaths=unconfined"),
        ("overlay", errno.EINVAL, {}, "cannot hold an overlay's upper directory", "export LABCONTAINERS_ROOT="),
        ("overlay", errno.ENODEV, {}, "no overlay file system", "sudo modprobe overlay"),
        ("tun device", errno.ENOENT, {}, "/dev/net/tun does not exist", "mknod -m 666 /dev/net/tun c 10 200"),
        ("veth and bridge", errno.EOPNOTSUPP, {}, "module is not loaded", "sudo modprobe -a bridge veth"),
        ("control groups", errno.EROFS, {}, "read-only", "--cgroupns=private"),
        ("memfd exec", errno.EACCES, {"sysctls": {"memfd_noexec": "2"}}, "vm.memfd_noexec", "vm.memfd_noexec=0"),
        ("clone3", errno.ENOSYS, {"seccomp": True}, "an older call is used", "seccomp=unconfined"),
        ("pidfd", errno.ENOSYS, {}, "needs Linux 5.3", "newer kernel"),
        ("seccomp filter", errno.EINVAL, {}, "CONFIG_SECCOMP_FILTER", "CONFIG_SECCOMP_FILTER=y"),
        ("network namespace", errno.EIO, {}, "", "dmesg"),
    ],
)
def test_a_failed_check_names_its_cause_and_its_fix(name: str, number: int, facts: dict[str, Any], reason: str, fix: str) -> None:
    facts = {**FACTS, **facts, "sysctls": {**SYSCTLS, **facts.get("sysctls", {})}}
    found_reason, found_fix = explain(name, {"ok": False, "errno": number, "detail": "newuidmap: it said so"}, facts, "ada")
    assert found_reason.startswith(errno.errorcode[number] + ", ")
    assert reason in found_reason
    assert fix in found_fix


def test_missing_subordinate_ids_are_given_by_a_command_for_this_user() -> None:
    reason, fix = explain("subordinate ids", {"ok": False, "errno": 0, "no_ranges": True}, FACTS, "ada")
    assert "/etc/subuid" in reason
    assert fix == "echo ada:165536:65536 | sudo tee -a /etc/subuid /etc/subgid"


def test_delegation_is_advised_where_there_is_version_2_and_another_kernel_option_where_there_is_not() -> None:
    result = {"ok": False, "errno": errno.EACCES}
    assert "Delegate=" in explain("control groups", {**result, "detail": "v2: /sys/fs/cgroup"}, FACTS)[1]
    assert "/etc/default/grub" in explain("control groups", {**result, "detail": "hybrid: /sys/fs/cgroup"}, FACTS)[1]
    without_grub = explain("control groups", {**result, "detail": "hybrid: /sys/fs/cgroup"}, {**FACTS, "grub": False})[1]
    assert without_grub == "boot the kernel with systemd.unified_cgroup_hierarchy=1 on its command line"


def test_every_failure_of_every_check_has_a_reason_and_a_fix() -> None:
    for name in NAMES:
        for number in (0, errno.EPERM, errno.EACCES, errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.ENODEV, errno.ENOSPC, errno.EROFS):
            for facts in (
                FACTS,
                {**FACTS, "euid": 0},
                {**FACTS, "euid": 0, "host_root": True},
                {**FACTS, "ids": 1, "named": False},
                {**FACTS, "seccomp": True, "no_new_privs": True, "outer": "Docker"},
            ):
                reason, fix = explain(name, {"ok": False, "errno": number, "detail": ""}, facts)
                assert reason
                assert fix


@pytest.mark.parametrize(
    ("failures", "facts", "holds"),
    [
        ({}, {"host_root": True}, levels.ROOT),
        ({}, {}, levels.SUBORDINATE),
        ({"control groups": errno.EACCES}, {}, f"{levels.SUBORDINATE}, {levels.UNLIMITED}"),
        ({"fresh /proc": errno.EPERM}, {}, f"{levels.SUBORDINATE}, {levels.MASKED_PROC}"),
        (
            {"fresh /proc": errno.EPERM, "subordinate ids": 0, "control groups": errno.EROFS},
            {},
            f"{levels.SINGLE}, {levels.MASKED_PROC}, {levels.UNLIMITED}",
        ),
        ({"openat2": errno.ENOSYS}, {}, levels.NO_NAMESPACES),
        (EVERYWHERE, {"host_root": True}, levels.NO_NAMESPACES),
    ],
)
def test_what_holds_containers_is_told_whole_with_what_each_part_lacks(failures: dict[str, int], facts: dict[str, Any], holds: str) -> None:
    report = probe(host=InventedHost(failures, **facts))
    assert report.holds == holds
    text, page = " ".join(str(report).split()), report._repr_html_()
    assert f"containers are held by: {holds}" in text
    for name in holds.split(", "):
        lacks = levels.LEVELS[name].lacks
        assert f"{name} lacks {lacks}" in text
        assert escape(f"{name} lacks {lacks}") in page


def test_apparmors_restriction_is_named_when_it_is_what_fails() -> None:
    restricted = {"sysctls": {**SYSCTLS, "apparmor_userns": "1"}}
    report = probe(host=InventedHost({"single id map": errno.EPERM, **EVERYWHERE}, **restricted))
    assert report["AppArmor restriction"].ok is False
    assert "sysctl" in report["AppArmor restriction"].fix
    assert probe(host=InventedHost({}, **restricted))["AppArmor restriction"].ok is True


def test_text_shows_each_check_once_with_reason_and_fix_in_one_line() -> None:
    report = Report((Check("pidfd", True, "fine"), Check("tun", False, "", "because " * 30, "sudo modprobe tun")), "rootless")
    text = str(report)
    assert text.startswith("level: rootless (")
    assert "ok  pidfd  fine" in text
    assert "fix: sudo modprobe tun" in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_a_reason_given_before_is_referred_to() -> None:
    text = str(probe(host=InventedHost(EVERYWHERE, euid=0, host_root=True)))
    assert text.count("apparmor=unconfined") == 1
    assert "why: as for tmpfs" in text


def test_html_escapes_and_brings_its_own_styles() -> None:
    html = Report((Check("<b>", None, "<script>", "a & b", "echo '<x>'"),), "none")._repr_html_()
    assert "<script>" not in html
    assert "a &amp; b" in html
    assert "class=" not in html


def test_what_fails_for_want_of_a_user_namespace_refers_to_it() -> None:
    failures = dict.fromkeys(("user namespace", "single id map", "subordinate ids"), errno.EPERM)
    report = probe(host=InventedHost(failures, seccomp=True, no_new_privs=True))
    for name in ("single id map", "subordinate ids"):
        assert report[name].reason.endswith("needs a user namespace, which cannot be made")
        assert report[name].fix == "see 'user namespace'"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"euid": 0, "host_root": True}, "as root"),
        ({"euid": 0}, "as root without CAP_SYS_ADMIN"),
        ({"euid": 0, "ids": 65536}, "as root of a user namespace with 65,536 ids"),
        ({"euid": 7, "ids": 1}, "as an ordinary user (id 7) of a user namespace with 1 id"),
    ],
)
def test_the_host_line_says_who_asks(facts: dict[str, Any], words: str) -> None:
    assert probe(host=InventedHost({}, **facts))["host"].detail == f"Linux 6.1.0, {words}"


def test_the_store_is_told_with_its_place() -> None:
    assert probe(Path("/somewhere"), host=InventedHost({}))["store"] == Check("store", True, "at /somewhere")


def test_a_store_that_cannot_be_written_is_told_with_the_way_to_another() -> None:
    check = probe(Path("/a/b"), host=InventedHost({}, store_refused="EROFS, read-only file system: /a cannot be written"))["store"]
    assert check.ok is False
    assert check.reason == "EROFS, read-only file system: /a cannot be written, but images belong to /a/b"
    assert check.fix.startswith("export LABCONTAINERS_ROOT=")
