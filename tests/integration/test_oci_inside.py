"""What a bundle's program finds: mounts, ids, capabilities, limits, devices and namespaces, each as config.json says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labcontainers.kernel.id_maps import ranges
from tests.fakes.bundle import Bundle

pytestmark = pytest.mark.needs("busybox")
ROOT = os.geteuid() == 0


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    # an ordinary user's root of the container may not be the user's own folder's, as for engines
    return Bundle(tmp_path)


def bind(bundle: Bundle, source: Path | str, target: str, *options: str) -> None:
    bundle.config["mounts"].append({"destination": target, "type": "bind", "source": str(source), "options": list(options)})


def mount_line(text: str, target: str) -> list[str]:
    """Options of the last mount at `target` in mount(8)'s output."""
    return next(line for line in reversed(text.splitlines()) if f" on {target} " in line).rpartition("(")[2].rstrip(")").split(",")


def test_process_has_its_environment_directory_and_names(bundle: Bundle) -> None:
    process = bundle.config["process"]
    process["env"] = ["PATH=/bin", "A=1", "A=2", "EMPTY="]
    process["cwd"] = "/tmp"
    bundle.config["hostname"], bundle.config["domainname"] = "host-1", "domain-1"
    out = bundle.output("env; pwd; hostname; cat /proc/sys/kernel/domainname").splitlines()
    assert {"A=2", "EMPTY=", "PATH=/bin"} <= set(out)
    assert out[-3:] == ["/tmp", "host-1", "domain-1"]


def test_umask_and_rlimits(bundle: Bundle) -> None:
    bundle.config["process"]["user"]["umask"] = 0o077
    bundle.config["process"]["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_FSIZE", "soft": 4096, "hard": 2**64 - 1},
    ]
    out = bundle.output("umask; grep -E 'open files|core file|file size' /proc/self/limits").splitlines()
    rows = {line[:26].strip(): line[26:].split()[:2] for line in out[1:]}
    assert out[0] == "0077"
    assert rows == {"Max open files": ["100", "200"], "Max core file size": ["0", "0"], "Max file size": ["4096", "unlimited"]}


def test_small_limit_of_descriptors_does_not_hinder_the_runtime(bundle: Bundle) -> None:
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4}]
    assert bundle.output("echo fine") == "fine\n"


def test_limit_that_cannot_be_raised_is_told(bundle: Bundle) -> None:
    import resource

    if resource.getrlimit(resource.RLIMIT_NPROC)[1] == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (100, 100))
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_SIGPENDING", "soft": 200, "hard": 200}]
    done = bundle.says("grep pending /proc/self/limits").run()
    raised = "200" in done.stdout
    assert raised or "RLIMIT_SIGPENDING cannot be raised to 200 here, so it is 100" in done.stderr


def capabilities(text: str) -> dict[str, int]:
    return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith("Cap")}


def test_five_capability_sets(bundle: Bundle) -> None:
    bundle.config["process"]["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    found = capabilities(bundle.output("cat /proc/self/status"))
    # a program of root's gets all of the bounding set at execve (capabilities(7))
    assert (found["CapBnd"], found["CapInh"], found["CapAmb"]) == (0b10100001, 0b100000, 0b100000)


def test_unknown_capability_is_a_warning(bundle: Bundle) -> None:
    bundle.config["process"]["capabilities"]["bounding"].append("CAP_ODD")
    assert "CAP_ODD is no capability that is known here" in bundle.says("true").run().stderr


@pytest.mark.needs("root")
def test_another_user_gets_ambient_capabilities_alone(bundle: Bundle) -> None:
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}
    sets = ("bounding", "permitted", "effective", "inheritable", "ambient")
    bundle.config["process"]["capabilities"] = {name: ["CAP_NET_BIND_SERVICE"] for name in sets}
    out = bundle.output("id; cat /proc/self/status")
    assert "uid=1000 gid=1001 groups=5,6" in out.replace("groups=1001,", "groups=")
    assert set(capabilities(out).values()) == {1 << 10}
    del bundle.config["process"]["capabilities"]
    assert set(capabilities(bundle.output("cat /proc/self/status")).values()) == {0}


@pytest.mark.needs("ordinary user")
def test_group_that_cannot_be_had_is_refused(bundle: Bundle) -> None:
    bundle.config["process"]["user"]["additionalGids"] = [5]
    done = bundle.says("true").run(ok=False)
    assert "process.user.additionalGids: no group 5 here" in done.stderr
    assert bundle.nothing_left()


def test_no_new_privileges(bundle: Bundle) -> None:
    for wanted in (True, False):
        bundle.config["process"]["noNewPrivileges"] = wanted
        assert bundle.output("grep NoNewPrivs /proc/self/status").split() == ["NoNewPrivs:", str(int(wanted))]


def test_root_is_read_only_when_asked(bundle: Bundle) -> None:
    assert "Read-only" in bundle.says("touch /x").run(ok=False).stderr
    bundle.config["root"]["readonly"] = False
    bundle.output("touch /x")
    assert (bundle.rootfs / "x").exists()


def test_masked_and_read_only_paths(bundle: Bundle) -> None:
    (bundle.rootfs / "secret").write_text("secret")
    bundle.config["linux"]["maskedPaths"] += ["/secret", "/tmp", "/nothing/there"]
    bundle.config["linux"]["readonlyPaths"] += ["/dev/shm", "/nothing"]
    (bundle.rootfs / "tmp/inner").write_text("x")
    bundle.config["root"]["readonly"] = False
    done = bundle.says("cat /secret; ls /tmp; touch /dev/shm/x; echo 1 > /proc/sys/kernel/domainname; echo end").run()
    assert done.stdout == "end\n"
    assert done.stderr.count("Read-only") == 2


def test_binds_with_their_options(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    bind(bundle, source, "/mnt/a", "rbind", "ro", "nosuid", "nodev", "noexec", "rprivate", *(["noatime"] if ROOT else []))
    bind(bundle, source / "file", "/mnt/b/file", "bind", "rro")
    bind(bundle, source, "/mnt/c", "bind", "rw", "rnosuid", "nosymfollow")
    bundle.config["root"]["readonly"] = False
    out = bundle.output("mount; cat /mnt/b/file; touch /mnt/c/new; touch /mnt/a/new; touch /mnt/b/file; true")
    # a user namespace may not change how the host's mounts keep access times
    assert {"ro", "nosuid", "nodev", "noexec", *(["noatime"] if ROOT else [])} <= set(mount_line(out, "/mnt/a"))
    assert "ro" in mount_line(out, "/mnt/b/file")
    assert {"rw", "nosuid"} <= set(mount_line(out, "/mnt/c"))
    assert sorted(os.listdir(source)) == ["file", "new"]


def test_relative_source_is_of_the_bundle(bundle: Bundle) -> None:
    (bundle.path / "beside").mkdir()
    (bundle.path / "beside/file").write_text("x\n")
    bind(bundle, "beside", "/mnt/here", "bind")
    bundle.config["root"]["readonly"] = False
    assert bundle.output("cat /mnt/here/file") == "x\n"


def test_tmpfs_with_copy_up_has_what_it_covers(bundle: Bundle) -> None:
    (bundle.rootfs / "mnt/folder").mkdir()
    (bundle.rootfs / "mnt/folder/file").write_text("kept\n")
    (bundle.rootfs / "mnt/link").symlink_to("folder/file")
    bundle.config["mounts"].append({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro", "size=1m"]})
    out = bundle.output("cat /mnt/link; mount")
    assert out.startswith("kept\n")
    assert {"ro", "size=1024k"} <= set(mount_line(out, "/mnt"))


def test_mount_target_never_leads_out_of_the_root(bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.rootfs / "escape").symlink_to(outside)
    (bundle.rootfs / "up").symlink_to("../../../../../../../../.." + str(outside))
    for target in ("/escape/here", "/up/here"):
        bundle.config["root"]["readonly"] = False
        bundle.config["mounts"] = [*bundle.config["mounts"][:7], {"destination": target, "type": "tmpfs", "source": "tmpfs"}]
        bundle.says("true").run(ok=False)
        assert os.listdir(outside) == []
        assert bundle.nothing_left()


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_kernel_file_system_is_not_mounted_on_a_link(bundle: Bundle, name: str) -> None:
    (bundle.rootfs / name).rmdir()
    (bundle.rootfs / name).symlink_to("/tmp")
    done = bundle.says("true").run(ok=False)
    if ROOT or name == "proc":
        assert f"something else than a directory at /{name}" in done.stderr
    else:  # /sys is the host's there, bound inside the root
        assert done.returncode == 0
    assert bundle.nothing_left()


def test_working_directory_outside_of_the_root_is_refused(bundle: Bundle) -> None:
    for number in range(3, 12):
        bundle.config["process"]["cwd"] = f"/proc/self/fd/{number}"
        done = bundle.says("pwd; ls").run(ok=False)
        assert done.returncode == 1, done.stdout


def test_devices_and_links(bundle: Bundle) -> None:
    script = "for name in null zero full random urandom tty; do test -c /dev/$name || echo no $name; done; "
    assert bundle.output(script + "for name in fd stdin stdout stderr ptmx; do readlink /dev/$name; done").split() == [
        "/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx",
    ]  # fmt: skip


@pytest.mark.needs("root")
def test_devices_of_the_bundle(bundle: Bundle) -> None:
    bundle.config["linux"]["devices"] = [
        {"type": "c", "path": "/dev/mine", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"type": "p", "path": "/dev/pipe"},
    ]
    out = bundle.output("stat -c '%A %t:%T %u:%g' /dev/mine; stat -c '%A' /dev/pipe")
    assert out.splitlines() == ["crw-r----- 1:5 3:4", "prw-rw-rw-"]


@pytest.mark.needs("root")
def test_sysctls_of_own_namespaces(bundle: Bundle) -> None:
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "12345", "fs.mqueue.msg_max": "20"}
    files = "/proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max"
    assert bundle.output(f"cat {files}").split() == ["1", "12345", "20"]


def test_sysctl_of_the_machine_is_refused(bundle: Bundle) -> None:
    bundle.config["linux"]["sysctl"] = {"kernel.panic": "1"}
    assert "would be set for the whole machine" in bundle.says("true").run(ok=False).stderr


def test_personality_scheduler_and_io_priority(bundle: Bundle) -> None:
    bundle.config["linux"]["personality"] = {"domain": "LINUX32"}
    bundle.config["process"]["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    bundle.config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
    out = bundle.output("uname -m; grep -E '^policy|^prio' /proc/self/sched; sleep 0").splitlines()
    assert out[0] in ("i686", "armv8l")
    assert [line.split()[-1] for line in out[1:]] in ([], ["3", "125"])


def test_oom_score(bundle: Bundle) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    bundle.config["process"]["oomScoreAdj"] = own + 100
    assert bundle.output("cat /proc/self/oom_score_adj") == f"{own + 100}\n"


def test_each_namespace_is_new_or_the_hosts(bundle: Bundle) -> None:
    names = {"pid": "pid", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "network": "net", "user": "user", "time": "time"}
    asked = {entry["type"] for entry in bundle.config["linux"]["namespaces"]}
    out = bundle.output("for kind in pid ipc uts mnt cgroup net user time; do readlink /proc/self/ns/$kind; done").split()
    for kind, found in zip(("pid", "ipc", "uts", "mount", "cgroup", "network", "user", "time"), out, strict=True):
        assert (found != os.readlink(f"/proc/self/ns/{names[kind]}")) is (kind in asked), kind


@pytest.fixture
def other(tmp_path: Path) -> Any:
    """A running container whose namespaces others join."""
    place = tmp_path / "other"
    place.mkdir()
    found = Bundle(place).says("sleep 1000")
    found.call("run", "-d", "one")
    yield found
    found.call("delete", "-f", "one")


def test_namespaces_are_joined_by_path(bundle: Bundle, other: Bundle) -> None:
    pid = other.state()["pid"]
    joined = {"ipc": "ipc", "uts": "uts", "pid": "pid", "cgroup": "cgroup"}
    joined |= {"network": "net"} if ROOT else {"user": "user"}
    bundle.config["linux"]["namespaces"] = [
        {"type": "mount"},
        *({"type": kind, "path": f"/proc/{pid}/ns/{name}"} for kind, name in joined.items()),
    ]
    bundle.config["linux"].pop("uidMappings", None)
    bundle.config["linux"].pop("gidMappings", None)
    del bundle.config["hostname"]
    out = bundle.output("for kind in " + " ".join(joined.values()) + "; do readlink /proc/self/ns/$kind; done; hostname; ps").splitlines()
    assert out[: len(joined)] == [os.readlink(f"/proc/{pid}/ns/{name}") for name in joined.values()]
    assert out[len(joined)] == "labcontainers"
    assert any("sleep 1000" in line for line in out)


def test_namespace_path_that_is_none_is_told(bundle: Bundle) -> None:
    for entry in bundle.config["linux"]["namespaces"]:
        if entry["type"] == "ipc":
            entry["path"] = "/nothing"
    done = bundle.says("true").run(ok=False)
    assert "linux.namespaces: the ipc namespace /nothing: no such file or directory" in done.stderr
    assert bundle.nothing_left()


def test_time_namespace_has_its_offsets(bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 10_000_000}, "monotonic": {"secs": 5, "nanosecs": 7}}
    out = bundle.output("cat /proc/uptime /proc/self/timens_offsets").splitlines()
    assert float(out[0].split()[0]) > 10_000_000
    assert [line.split() for line in out[1:]] == [["monotonic", "5", "7"], ["boottime", "10000000", "0"]]
    bundle.says("sleep 1000").call("run", "-d", "one")
    assert float(bundle.call("exec", "one", "cat", "/proc/uptime").stdout.split()[0]) > 10_000_000
    bundle.call("delete", "-f", "one")


@pytest.mark.needs("root")
def test_user_namespace_with_many_ids(bundle: Bundle, tmp_path: Path) -> None:
    rows = [{"containerID": 0, "hostID": 100_000, "size": 1000}, {"containerID": 1000, "hostID": 200_000, "size": 10}]
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"]["uidMappings"] = bundle.config["linux"]["gidMappings"] = rows
    bundle.config["process"]["user"] = {"uid": 1003, "gid": 7, "additionalGids": [9]}
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "inner").mkdir()
    bind(bundle, private / "inner", "/mnt", "bind")
    bundle.says("sleep 1000").call("run", "-d", "one")
    pid = bundle.state()["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Uid:\t200003\t" in status
    assert "Gid:\t100007\t" in status
    assert bundle.call("exec", "-u", "0:0", "one", "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split()[:4] == [
        "0",
        "0",
        "100000",
        "1000",
    ]
    bundle.call("delete", "-f", "one")
    assert bundle.nothing_left()


@pytest.mark.needs("subids")
def test_ordinary_user_with_subordinate_ids(bundle: Bundle) -> None:
    for name, (first, count) in zip(("uidMappings", "gidMappings"), ranges(), strict=True):
        bundle.config["linux"][name].append({"containerID": 1, "hostID": first, "size": count})
    bundle.config["process"]["user"] = {"uid": 5, "gid": 6, "additionalGids": [7]}
    assert bundle.output("id").split() == ["uid=5", "gid=6", "groups=7"]
    bundle.says("sleep 1000").call("run", "-d", "one")
    assert bundle.call("exec", "-u", "8:9", "one", "id", "-u").stdout == "8\n"
    bundle.call("delete", "-f", "one")


@pytest.mark.needs("ordinary user")
def test_ids_that_the_user_does_not_have_are_told(bundle: Bundle) -> None:
    bundle.config["linux"]["uidMappings"][0]["hostID"] = 0
    done = bundle.says("true").run(ok=False)
    assert done.returncode == 1
    assert "linux.uidMappings: newuidmap: " in done.stderr
    assert bundle.nothing_left()


def test_affinity_of_an_exec(bundle: Bundle) -> None:
    cpu = min(os.sched_getaffinity(0))
    bundle.config["process"]["execCPUAffinity"] = {"initial": str(cpu), "final": str(cpu)}
    bundle.says("sleep 1000").call("run", "-d", "one")
    assert bundle.call("exec", "one", "grep", "Cpus_allowed_list", "/proc/self/status").stdout.split()[1] == str(cpu)
    bundle.call("delete", "-f", "one")


@pytest.mark.needs("root")
def test_mount_with_other_ids(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "owned"
    source.mkdir()
    (source / "file").write_text("x")
    os.chown(source / "file", 2000, 3000)
    bind(bundle, source, "/mnt", "bind", "idmap")
    bundle.config["mounts"][-1]["uidMappings"] = [{"containerID": 2000, "hostID": 7, "size": 1}]
    bundle.config["mounts"][-1]["gidMappings"] = [{"containerID": 3000, "hostID": 8, "size": 1}]
    assert bundle.output("stat -c '%u:%g' /mnt/file") == "7:8\n"
    assert os.stat(source / "file").st_uid == 2000


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("propagation", "field"), [("shared", "shared:"), ("slave", "master:"), ("private", ""), ("unbindable", "unbindable")]
)
def test_propagation_of_the_root(bundle: Bundle, propagation: str, field: str) -> None:
    bundle.config["linux"]["rootfsPropagation"] = propagation
    line = next(line for line in bundle.output("cat /proc/self/mountinfo").splitlines() if line.split()[4] == "/")
    fields = line.partition(" - ")[0].split()[6:]
    # what the host shares with nobody, a slave hears nothing of
    assert [one for one in fields if one.startswith(field)] if field and fields else not fields or propagation == "slave"


@pytest.mark.needs("root")
def test_host_mounts_reach_a_slave_and_those_of_a_shared_mount_reach_the_host(bundle: Bundle, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "in").mkdir(parents=True)
    (shared / "out").mkdir()
    subprocess.run(["mount", "--bind", shared, shared], check=True)
    try:
        subprocess.run(["mount", "--make-shared", shared], check=True)
        bind(bundle, shared, "/mnt", "rbind", "rslave")
        bundle.says("sleep 1000").call("run", "-d", "one")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", shared / "in"], check=True)
        assert "/mnt/in " in bundle.call("exec", "one", "mount").stdout
        subprocess.run(["umount", shared / "in"], check=True)
        assert "/mnt/in " not in bundle.call("exec", "one", "mount").stdout
        bundle.call("delete", "-f", "one")
    finally:
        subprocess.run(["umount", "-R", shared], check=True)


def test_no_pivot_and_no_keyring(bundle: Bundle) -> None:
    assert bundle.says("ls /; echo ok").run(flags=("--no-pivot", "--no-new-keyring")).stdout.endswith("ok\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(ociVersion="2.0.0"), "ociVersion: '2.0.0' is not a version"),
        (lambda c: c.pop("root"), "root: None is missing"),
        (lambda c: c["root"].update(path="nowhere"), "root.path: 'nowhere' is no directory"),
        (lambda c: c["root"].update(path="/"), "root.path: '/' is the host's own root"),
        (lambda c: c.pop("process"), "process is missing"),
        (lambda c: c["process"].update(args=[]), "process.args: [] has no program"),
        (lambda c: c["process"].update(selinuxLabel="x"), "SELinux is not supported"),
        (lambda c: c["linux"].update(intelRdt={}), "linux.intelRdt"),
        (lambda c: c["linux"].update(namespaces=[]), "needs a"),
        (lambda c: c.update(hooks={"prestart": [{"path": "relative"}]}), "hooks.prestart[0].path: 'relative' is not an absolute path"),
        (lambda c: c["mounts"].append({"destination": "/a/../b", "type": "tmpfs"}), "has a '..'"),
        (lambda c: c["mounts"].append({"destination": "/a"}), "is missing for a mount that is no bind"),
        (lambda c: c["mounts"].append({"destination": "/a", "type": "nofs", "source": "x"}), "nofs"),
        (lambda c: c["process"].update(apparmorProfile="none-such"), "apparmor"),
    ],
)  # fmt: skip
def test_fault_is_one_line_and_leaves_nothing(bundle: Bundle, change: Any, message: str) -> None:
    bundle.config["root"]["readonly"] = False
    change(bundle.config)
    bundle.config.get("process", {}).setdefault("args", ["/bin/true"])
    done = bundle.run(ok=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert bundle.nothing_left()
