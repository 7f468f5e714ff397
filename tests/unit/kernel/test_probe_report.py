from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labcontainers.kernel import probe as probing
from labcontainers.kernel.probe import Check, Report, probe
from labcontainers.kernel.probe_attempts import ORDINARY, PRIVILEGED
from labcontainers.kernel.probe_reasons import explain

NAMES = ("user namespace", "single id map", "subordinate ids", *PRIVILEGED, *ORDINARY)
SYSCTLS = {"max_user_namespaces": "9000", "userns_clone": "", "apparmor_userns": "", "memfd_noexec": "0"}
FACTS: dict[str, Any] = {
    "euid": 1000, "capabilities": 0, "no_new_privs": False, "seccomp": False, "sysctls": SYSCTLS, "label": "", "masked_proc": [],
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
        ({}, {"euid": 0}, "root"),
        ({}, {}, "rootless"),
        ({"subordinate ids": 0}, {}, "single-id"),
        ({"subordinate ids": 0}, {"euid": 0}, "root"),
        ({"fresh /proc": errno.EPERM}, {}, "masked-proc"),
        ({"overlay": errno.EINVAL}, {}, "no-mounts"),
        ({"single id map": errno.EPERM, **EVERYWHERE}, {}, "no-mounts"),
        ({"user namespace": errno.EPERM, "single id map": errno.EPERM, **EVERYWHERE}, {}, "none"),
        (EVERYWHERE, {"euid": 0}, "no-mounts"),
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
        ("tmpfs", errno.EPERM, {"euid": 0}, "CAP_SYS_ADMIN", "--cap-add SYS_ADMIN"),
        ("tmpfs", errno.EACCES, {"outer": "Kubernetes"}, "security module of the outer container", "hostUsers: false"),
        ("subordinate ids", errno.ENOENT, {}, "not installed", "apt-get install uidmap"),
        ("subordinate ids", errno.EPERM, {"no_new_privs": True}, "no_new_privs is set", "allowPrivilegeEscalation: true"),
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
    found_reason, found_fix = explain(name, {"ok": False, "errno": number, "detail": ""}, facts, "ada")
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
    assert "unified_cgroup_hierarchy" in explain("control groups", {**result, "detail": "hybrid: /sys/fs/cgroup"}, FACTS)[1]


def test_every_failure_of_every_check_has_a_reason_and_a_fix() -> None:
    for name in NAMES:
        for number in (0, errno.EPERM, errno.EACCES, errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.ENODEV, errno.ENOSPC, errno.EROFS):
            for facts in (FACTS, {**FACTS, "euid": 0}, {**FACTS, "seccomp": True, "no_new_privs": True, "outer": "Docker"}):
                reason, fix = explain(name, {"ok": False, "errno": number, "detail": ""}, facts)
                assert reason
                assert fix


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
    text = str(probe(host=InventedHost(EVERYWHERE, euid=0)))
    assert text.count("--cap-add SYS_ADMIN") == 1
    assert "why: as for tmpfs" in text


def test_html_escapes_and_brings_its_own_styles() -> None:
    html = Report((Check("<b>", None, "<script>", "a & b", "echo '<x>'"),), "none")._repr_html_()
    assert "<script>" not in html
    assert "a &amp; b" in html
    assert "class=" not in html


def test_subordinate_ranges_are_the_largest_of_this_user_in_both_files(tmp_path: Path) -> None:
    import os

    uids, gids = tmp_path / "subuid", tmp_path / "subgid"
    uids.write_text(f"nobody-else:1:2\n{os.geteuid()}:100:10\n{os.geteuid()}:500:65536\nbroken\n")
    gids.write_text(f"{os.geteuid()}:700:65536\n")
    assert probing.subordinate_ranges(str(uids), str(gids)) == [(500, 65536), (700, 65536)]
    assert probing.subordinate_ranges(str(uids), str(tmp_path / "none")) == []
