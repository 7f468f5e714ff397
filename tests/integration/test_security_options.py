"""Capabilities, filters and system paths of a container, as its options say, on the real kernel."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.__main__ import main
from labcontainers.errors import InvalidArgument, StartFailed, Unsupported
from labcontainers.kernel import capabilities, security_modules

HARMLESS = next((path for path in ("/dev/fuse", "/dev/loop-control", "/dev/autofs") if os.path.exists(path)), "")
DENY_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}],
}


def output(engine: Engine, script: str | list[str], **options: Any) -> str:
    command = ["sh", "-c", script] if isinstance(script, str) else script
    result = engine.containers.run("lab/base", command, **{"network": "none", "remove": True, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def status_of(engine: Engine, **options: Any) -> dict[str, str]:
    return status(output(engine, ["cat", "/proc/self/status"], **options))


class TestCapabilities:
    CHOSEN = (
        ({"cap_add": ["sys_ptrace"]}, capabilities.DEFAULT | {"SYS_PTRACE"}),
        ({"cap_drop": ["CAP_SETFCAP", "chown"]}, capabilities.DEFAULT - {"SETFCAP", "CHOWN"}),
        ({"cap_drop": ["ALL"]}, frozenset()),
        ({"cap_drop": ["all"], "cap_add": ["KILL"]}, frozenset({"KILL"})),
    )

    @pytest.mark.parametrize(("options", "names"), CHOSEN, ids=str)
    def test_a_container_has_those_that_were_chosen(self, engine: Engine, options: dict[str, Any], names: frozenset[str]) -> None:
        told = status_of(engine, **options)
        for field in ("CapEff", "CapPrm", "CapBnd"):
            assert capabilities.names_of(int(told[field], 16)) == names
        assert (int(told["CapInh"], 16), int(told["CapAmb"], 16), told["Seccomp"]) == (0, 0, "2")

    def test_all_of_them_is_all_that_this_host_gives_but_those_dropped(self, engine: Engine) -> None:
        chosen = capabilities.names_of(int(status_of(engine, cap_add=["ALL"], cap_drop=["SYS_ADMIN"])["CapEff"], 16))
        assert "SYS_ADMIN" not in chosen
        assert chosen > capabilities.DEFAULT

    def test_the_filter_follows_the_capabilities(self, engine: Engine) -> None:
        script = "mkdir /m && mount -t tmpfs none /m && echo mounted"
        assert output(engine, script, cap_add=["SYS_ADMIN"]).strip() == "mounted"
        assert engine.containers.run("lab/base", ["sh", "-c", script], network="none", remove=True).exit_code != 0

    def test_an_exec_has_the_containers_own_and_with_privileged_all(self, engine: Engine) -> None:
        container = engine.containers.run("lab/base", ["sleep", "60"], detach=True, network="none", cap_drop=["ALL"], cap_add=["KILL"])
        plain = status(container.exec(["cat", "/proc/self/status"]).stdout)
        assert capabilities.names_of(int(plain["CapEff"], 16)) == {"KILL"}
        given = status(container.exec(["cat", "/proc/self/status"], privileged=True).stdout)
        assert capabilities.names_of(int(given["CapEff"], 16)) > capabilities.DEFAULT
        assert given["Seccomp"] == "2"

    @pytest.mark.needs("root", "a capability less")
    def test_one_that_this_process_lacks_is_refused_before_anything_is_made(self, engine: Engine) -> None:
        missing = sorted(capabilities.of_this_kernel() - capabilities.of_this_process())
        with pytest.raises(InvalidArgument, match="not available in the current environment"):
            engine.containers.create("lab/base", ["true"], cap_add=missing[:1])
        assert engine.containers.list(all=True) == []


class TestPrivileged:
    def test_it_has_all_capabilities_no_filter_and_no_hidden_paths(self, engine: Engine) -> None:
        told = status_of(engine, privileged=True)
        assert told["Seccomp"] == "0"
        assert capabilities.names_of(int(told["CapEff"], 16)) >= capabilities.DEFAULT | {"SYS_ADMIN", "NET_ADMIN"}
        mounts = output(engine, ["cat", "/proc/mounts"], privileged=True)
        below = [line.split()[1] for line in mounts.splitlines() if line.split()[1].startswith("/proc/")]
        assert below == []
        assert "sysfs /sys sysfs rw" in mounts

    def test_it_has_the_devices_of_the_host(self, engine: Engine) -> None:
        """Looked for are numbers, since a container's /dev/console and /dev/ptmx are its own."""
        look = "find /dev -path /dev/pts -prune -o '(' -type c -o -type b ')' -exec stat -c '%t:%T' '{}' +"
        plain, given = (set(output(engine, look, privileged=value).split()) for value in (False, True))
        hosts = {
            f"{os.major(found.st_rdev):x}:{os.minor(found.st_rdev):x}"
            for folder, below, names in os.walk("/dev")
            if folder.split("/")[2:3] not in (["pts"], ["shm"], ["mqueue"])
            for name in names
            if name not in ("console", "ptmx")
            and stat.S_IFMT((found := os.lstat(f"{folder}/{name}")).st_mode) in (stat.S_IFCHR, stat.S_IFBLK)
        }
        assert plain <= given
        assert hosts <= given

    @pytest.mark.needs("root")
    @pytest.mark.skipif(not HARMLESS, reason="this host has no device beside those of every container that root may open without harm")
    def test_it_may_use_them_and_make_others(self, engine: Engine) -> None:
        script = f"(: < {HARMLESS}) && echo opened; mknod /dev/x c 1 5 2>/dev/null && head -c 2 /dev/x | wc -c; true"
        can_make = "MKNOD" in capabilities.of_this_process()
        expected = ["opened", *(["2"] if can_make else [])]
        for devices in ([], ["/dev/zero:/dev/mine:r"]):
            assert output(engine, script, privileged=True, devices=devices).split() == expected

    def test_the_hosts_nodes_stay_as_they_are(self, engine: Engine) -> None:
        before = Path("/dev/full").stat()
        output(engine, "chmod 0600 /dev/full /dev/kmsg /dev/mem 2>/dev/null; true", privileged=True)
        after = Path("/dev/full").stat()
        assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)

    def test_system_paths_alone_may_be_shown(self, engine: Engine) -> None:
        shown = output(engine, ["cat", "/proc/mounts"], security_opt=["systempaths=unconfined"])
        assert not [line for line in shown.splitlines() if line.split()[1].startswith("/proc/")]
        assert status_of(engine, security_opt=["systempaths=unconfined"])["Seccomp"] == "2"


class TestProfiles:
    def test_a_profile_in_a_file_is_what_holds(self, engine: Engine, tmp_path: Path) -> None:
        file = tmp_path / "deny.json"
        file.write_text(json.dumps(DENY_MKDIR))
        result = engine.containers.run("lab/base", ["sh", "-c", "mkdir /m"], network="none", security_opt=[f"seccomp={file}"])
        assert result.exit_code != 0
        assert "Input/output error" in result.stderr
        container = engine.containers.get(result.name)
        assert container.inspect()["HostConfig"]["SecurityOpt"] == ["seccomp=" + json.dumps(DENY_MKDIR, separators=(",", ":"))]
        assert status_of(engine, security_opt=[f"seccomp={file}", "no-new-privileges"])["NoNewPrivs"] == "1"

    def test_an_exec_is_held_by_the_same_profile(self, engine: Engine) -> None:
        profile = "seccomp=" + json.dumps(DENY_MKDIR)
        container = engine.containers.run("lab/base", ["sleep", "60"], detach=True, network="none", security_opt=[profile])
        assert "Input/output error" in container.exec(["mkdir", "/m"]).stderr

    def test_without_a_filter_there_is_none(self, engine: Engine) -> None:
        assert status_of(engine, security_opt=["seccomp=unconfined"])["Seccomp"] == "0"
        assert status_of(engine, security_opt=["seccomp=builtin"], privileged=True)["Seccomp"] == "2"

    def test_rules_of_a_profile_count_for_the_capabilities_that_they_name(self, engine: Engine) -> None:
        rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "includes": {"caps": ["CAP_SYS_PTRACE"]}}
        profile = "seccomp=" + json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
        assert output(engine, "mkdir /m && echo made", security_opt=[profile]).strip() == "made"
        result = engine.containers.run(
            "lab/base", ["mkdir", "/m"], network="none", remove=True, security_opt=[profile], cap_add=["SYS_PTRACE"]
        )
        assert "No space left on device" in result.stderr

    @pytest.mark.needs("no AppArmor")
    def test_an_apparmor_profile_needs_apparmor(self, engine: Engine) -> None:
        with pytest.raises(Unsupported, match="apparmor is not enabled on this host"):
            engine.containers.create("lab/base", ["true"], security_opt=["apparmor=docker-default"])
        assert output(engine, "echo fine", security_opt=["apparmor=unconfined"]).strip() == "fine"


def test_labels_are_taken_and_told_to_have_no_effect(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ["label=type:x", "label=level:s0"]
    monkeypatch.setattr(security_modules, "selinux_enabled", lambda: False)
    container = engine.containers.run("lab/base", ["true"], network="none", detach=True, security_opt=labels)
    assert container.wait(60) == 0
    assert container.inspect()["HostConfig"]["SecurityOpt"] == labels
    assert [text for text in container.warnings if "'label=type:x' has no effect: this machine has no SELinux" in text]
    assert "--security-opt label=type:x" in container.explain().docker
    assert "--security-opt label=level:s0" in container.explain().docker
    monkeypatch.setattr(security_modules, "selinux_enabled", lambda: True)
    with pytest.raises(Unsupported, match="--security-opt label=type:x: SELinux labels are not set"):
        engine.containers.create("lab/base", ["true"], security_opt=labels)
    engine.containers.create("lab/base", ["true"], security_opt=["label=disable"])


class TestBadInput:
    WORDS = (
        ("--pull never nosuch", "no such image: nosuch"),
        ("--platform linux/s390x", "--platform: 'linux/s390x' is not this machine's: there is no emulation"),
        ("--disable-content-trust=false", "--disable-content-trust: 'false' is not supported: images are not verified"),
        ("--cap-add NET_ADMN", "no such capability: 'NET_ADMN' (did you mean NET_ADMIN?)"),
        ("--security-opt seccomp=none.json", "none.json) failed: no such file or directory"),
        ("--security-opt label=", "--security-opt: invalid option 'label='"),
        ("--device /dev/none", "error gathering device information while adding custom device '/dev/none': no such file or directory"),
        ("--pid container:nobody", "no such container: nobody"),
        ("--network container:nobody", "no such container: nobody"),
        ("--userns keep-id", "--userns: 'keep-id' is not supported"),
        ("--gpus all", "--gpus is not supported yet"),
        ("--dns localhost", "--dns: not an ip address: 'localhost'"),
    )

    @pytest.mark.parametrize(("flags", "words"), WORDS)
    def test_it_is_one_line_and_exit_code_125(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], flags: str, words: str
    ) -> None:
        monkeypatch.setenv("LABCONTAINERS_ROOT", str(place / "s"))
        assert main(["run", "--rm", *flags.split(), "lab/base", "true"]) == 125
        said = capfd.readouterr().err
        assert words in said
        assert said.count("\n") == 1

    def test_a_filter_that_the_start_itself_does_not_survive_is_a_failed_start(self, engine: Engine) -> None:
        profile = "seccomp=" + json.dumps({"defaultAction": "SCMP_ACT_KILL_PROCESS"})
        with pytest.raises(StartFailed) as caught:
            engine.containers.run("lab/base", ["true"], network="none", security_opt=[profile])
        assert caught.value.exit_code == 125
