"""What a program inside a container may try: system calls, capabilities, the kernel's files, other processes, volumes that change."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers import Container, Engine
from labcontainers.errors import LabError, StartFailed
from labcontainers.kernel import syscalls
from tests import leaks

BASE, PYTHON = "lab/base", "lab/python"
RUN: dict[str, Any] = {"network": "none", "remove": True}
EPERM, ENOSYS = 1, 38

# Numbers for x86_64 and aarch64, from the kernel's tables; what Docker's default profile denies without capabilities.
DENIED = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "open_by_handle_at": (304, 265),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "syslog": (103, 116), "settimeofday": (164, 170), "acct": (163, 89), "quotactl": (179, 60), "nfsservctl": (180, 42),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "move_pages": (279, 239), "fsopen": (430, 430), "open_tree": (428, 428),
    "move_mount": (429, 429), "mount_setattr": (442, 442), "process_madvise": (440, 440), "pidfd_getfd": (438, 438),
    "sethostname": (170, 161),
}  # fmt: skip
PROBE = """
import ctypes, json, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(value) for value in arguments])
    return ctypes.get_errno() if result < 0 else 0
numbers = json.loads(sys.argv[1])
found = {name: call(number, 0, 0, 0, 0, 0) for name, number in numbers.items()}
found["unshare user"] = call(numbers["unshare"], 0x10000000)
found["clone3"] = call(435, 0, 0)
found["unknown"] = call(9999, 0)
for family in (38, 40):
    try:
        socket.socket(family, socket.SOCK_STREAM, 0).close()
        found[f"socket {family}"] = 0
    except OSError as error:
        found[f"socket {family}"] = error.errno
print(json.dumps(found))
"""


def numbers() -> dict[str, int]:
    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    return {name: pair[column] for name, pair in DENIED.items()}


def sh(engine: Engine, script: str, **options: Any) -> str:
    result = engine.containers.run(BASE, ["sh", "-c", script], **{**RUN, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("options", [{}, {"no_new_privileges": True}], ids=["as usual", "no_new_privs"])
def test_dangerous_system_calls_are_denied_and_new_ones_unknown(engine: Engine, options: dict[str, Any]) -> None:
    command = ["python3", "-c", PROBE, json.dumps(numbers())]
    container = engine.containers.run(PYTHON, ["sleep", "100"], network="none", detach=True, **options)
    first = engine.containers.run(PYTHON, command, **{**RUN, **options})
    assert first.exit_code == 0, first.stderr
    for found in (json.loads(first.stdout), json.loads(container.exec(command).stdout)):
        allowed = {name: error for name, error in found.items() if name in DENIED and error not in (EPERM, ENOSYS)}
        assert allowed == {}
        assert (found["unshare user"], found["clone3"], found["unknown"]) == (EPERM, ENOSYS, ENOSYS)
        assert found["socket 38"] != 0
        assert found["socket 40"] != 0
    container.kill()


# socketcall(SYS_SOCKET, {family, type, 0}) and socket(2) by numbers of i386: `int 0x80` with what it asks for below 4 GiB
PROBE_32 = """
import ctypes, json, struct, sys
libc = ctypes.CDLL(None)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
page = libc.mmap(None, 4096, 7, 0x62, -1, 0)
code = bytes.fromhex("5389f889f389d1cd805bc3")
ctypes.memmove(page, code, len(code))
call = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 3)(page)
found = {}
for family, kind in ((1, 1), (2, 1), (38, 5), (40, 1)):
    ctypes.memmove(page + 1024, struct.pack("III", family, kind, 0), 12)
    found[family] = call(102, 1, page + 1024), call(359, family, kind)
print(json.dumps(found))
"""


# CVE-2026-31431 by way of 32-bit programs
@pytest.mark.needs("x86_64")
def test_a_32_bit_program_makes_no_socket_past_the_filter(engine: Engine) -> None:
    answers = []
    for options in ({}, {"security_opt": ["seccomp=unconfined"]}):
        done = engine.containers.run(PYTHON, ["python3", "-c", PROBE_32], **RUN, **options)
        if done.exit_code == 139:
            return  # this kernel knows no 32-bit programs at all
        assert done.exit_code == 0, done.stderr
        answers.append(json.loads(done.stdout))
    confined, free = answers
    assert {family: pair[0] for family, pair in confined.items()} == dict.fromkeys(confined, -EPERM)
    assert (confined["38"][1], confined["40"][1]) == (-EPERM, -EPERM)
    assert confined["1"][1] > 0
    assert free["1"][0] > 0


# runc CVE-2022-29162, moby CVE-2022-24769, runc CVE-2016-8867
@pytest.mark.parametrize("user", ["0", "1000"])
def test_nobody_inherits_capabilities_and_other_users_have_none(engine: Engine, user: str) -> None:
    if user != "0" and engine.info()["IDs"] == "single":
        with pytest.raises(StartFailed):
            sh(engine, "true", user=user)
        return
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True, user=user)
    for read in ("/proc/1/status", "/proc/self/status"):
        lines = container.exec(["cat", read], user=user).stdout.splitlines()
        sets = {name: int(value, 16) for name, _, value in (line.partition(":") for line in lines) if name.startswith("Cap")}
        assert sets["CapInh"] == sets["CapAmb"] == 0
        assert (sets["CapEff"] == 0) == (sets["CapPrm"] == 0) == (user != "0")
        assert not sets["CapBnd"] & (1 << 21 | 1 << 19 | 1 << 16 | 1 << 12 | 1 << 27 | 1 << 2), (
            "SYS_ADMIN, PTRACE, MODULE, NET_ADMIN, MKNOD"
        )
    container.kill()


def test_kernels_files_are_masked_or_cannot_be_written(engine: Engine) -> None:
    script = (
        "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/kernel/hostname /proc/irq/default_smp_affinity "
        "/sys/kernel/uevent_helper /sys/fs/cgroup/cgroup.procs; do "
        "(echo x > $f) 2>/dev/null && echo WROTE $f; done; cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c; "
        "mount -o remount,rw /proc/sys 2>/dev/null && echo REMOUNTED; umount /proc/sys 2>/dev/null && echo UNMOUNTED; echo end"
    )
    assert sh(engine, script).split() == ["0", "end"]


# runc CVE-2023-25809
def test_control_groups_are_the_containers_own_and_not_writable(engine: Engine) -> None:
    shown = sh(engine, "cut -d: -f3 /proc/self/cgroup | sort -u; (mkdir /sys/fs/cgroup/x) 2>/dev/null && echo MADE; true").split()
    limited = engine._hierarchy.mode != "none"
    assert shown == ["/"] or not limited


# the classic way out of chroot(2), which works without pivot_root(2)
def test_chroot_inside_does_not_lead_out(engine: Engine, place: Path) -> None:
    (place / "canary").write_text("host")
    script = f"""
import os
fd = os.open("/", os.O_RDONLY)
os.mkdir("/cell")
os.chroot("/cell")
os.fchdir(fd)
for _ in range(100):
    os.chdir("..")
os.chroot(".")
print(os.path.exists({str(place / "canary")!r}), os.path.exists("/cell"))
"""
    result = engine.containers.run(PYTHON, ["python3", "-c", script], **RUN)
    assert result.stdout == "False True\n", result.stderr


# runc CVE-2016-9962
def test_joining_process_shows_nothing_of_the_host(engine: Engine, place: Path) -> None:
    watch = "while :; do ls -l /proc/[0-9]*/fd /proc/[0-9]*/cwd /proc/[0-9]*/root 2>/dev/null; cat /proc/[0-9]*/environ; done"
    container = engine.containers.run(BASE, ["sh", "-c", watch], network="none", detach=True)
    for _ in range(25):
        container.exec(["true"])
    container.kill()
    container.wait()
    text = container.logs().text
    assert "/proc/1/fd" in text
    assert str(place) not in text
    assert "labcontainers" not in text


# runc CVE-2021-30465 and CVE-2024-45310
def test_volume_whose_folders_turn_into_links_while_another_container_starts_leads_nowhere(engine: Engine, place: Path) -> None:
    shared, other = place / "shared", place / "other"
    (shared / "flip").mkdir(parents=True)
    other.mkdir()
    (other / "mark").write_text("x")
    flip = "cd /shared; while :; do mv flip aside; ln -s / flip; rm flip; ln -s ../../../../.. flip; rm flip; mv aside flip; done"
    racer = engine.containers.run(BASE, ["sh", "-c", flip], volumes=[f"{shared}:/shared"], network="none", detach=True)
    before = set(os.listdir("/"))
    starts = 0
    for number in range(40):
        inside = f"/shared/flip/made-{number}"
        with_inner = {"volumes": [f"{shared}:/shared", f"{other}:{inside}"]}
        try:
            shown = sh(engine, f"ls -d {place}/other /mark 2>/dev/null; echo end", **with_inner)
        except StartFailed:
            continue
        starts += 1
        assert shown == "end\n"
    racer.kill()
    racer.wait()
    assert set(os.listdir("/")) == before
    assert not [path for path in place.iterdir() if path.name.startswith("made-")]
    assert starts > 0


# runc CVE-2023-28642, CVE-2025-52881
@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/proc/self/attr", "/proc/1", "/link", "/link/sys"])
def test_nothing_can_be_mounted_over_proc(engine: Engine, place: Path, target: str) -> None:
    from tests.security.hostile import link, make_image

    fake = place / "fake"
    fake.mkdir()
    image = make_image(engine, lambda tree: link(tree, "/link", "/proc"))
    for options in ({"volumes": [f"{fake}:{target}"]}, {"tmpfs": [target]}):
        with pytest.raises(StartFailed, match="proc"):
            engine.containers.run(image, ["true"], **RUN, **options)
    assert not list(fake.iterdir())


# runc CVE-2025-31133
def test_volume_over_dev_cannot_pass_another_file_off_as_the_null_device(engine: Engine, place: Path) -> None:
    fake = place / "fake"
    fake.mkdir()
    (fake / "null").symlink_to("/proc/sys/kernel/core_pattern")
    for options in ({"volumes": [f"{fake}:/dev"]},):
        with pytest.raises(LabError):
            engine.containers.run(BASE, ["true"], **RUN, **options)
    (fake / "null").unlink()
    (fake / "null").write_text("no device")
    with pytest.raises(LabError):
        engine.containers.run(BASE, ["true"], volumes=[f"{fake}:/dev"], **RUN)


# containerd CVE-2020-15257
def test_no_abstract_socket_is_ours_and_the_hosts_network_shows_no_way_to_a_shim(engine: Engine) -> None:
    def abstract() -> set[str]:
        return {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if line.split()[-1].startswith("@")}

    before = abstract()
    container = engine.containers.run(BASE, ["sleep", "100"], network="host", detach=True)
    assert not {name for name in abstract() - before if "lab" in name or "shim" in name}
    directory = engine.paths.containers / container.id
    assert (directory / "shim.sock").is_socket()
    assert container.exec(["ls", str(directory)]).exit_code != 0
    container.kill()


# containerd CVE-2021-41103
def test_state_is_closed_to_every_other_user(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    for folder in (engine.paths.root, engine.paths.run, *engine.paths.directories, engine.paths.containers / container.id):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    for file in (engine.paths.database, engine.paths.events, engine.paths.containers / container.id / "log"):
        assert not stat.S_IMODE(file.stat().st_mode) & 0o077 or stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    container.kill()


@pytest.mark.needs("root")
def test_socket_of_a_shim_answers_its_own_user_alone(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    folder = os.open(engine.paths.containers / container.id, os.O_PATH)
    os.set_inheritable(folder, True)
    os.chmod(f"/proc/self/fd/{folder}/shim.sock", 0o777)
    script = f"""
import os, socket
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    sock.connect("/proc/self/fd/{folder}/shim.sock")
    sock.send(b'J{{"signal":9}}')
    print(sock.recv(100))
except OSError as error:
    print(b"")
"""
    done = subprocess.run(["python3", "-c", script], pass_fds=(folder,), capture_output=True, text=True, check=False)
    os.close(folder)
    assert done.stdout == "b''\n", done
    assert container.state.running
    container.kill()


NONSENSE = [b"J{", b"Jnull", b"J[]", b"J{}", b'J{"exec":{}}', b'J{"signal":"x"}', b'J{"exec_signal":{}}', b"M", b"\xff" * 4000, b"1x"]


def test_nonsense_on_the_socket_of_a_shim_ends_the_connection_and_not_the_container(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    for nonsense in NONSENSE:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            folder = os.open(engine.paths.containers / container.id, os.O_PATH)
            sock.connect(f"/proc/self/fd/{folder}/shim.sock")
            os.close(folder)
            sock.send(nonsense)
        assert container.exec(["echo", "well"]).stdout == "well\n", nonsense
    container.kill()
    assert container.wait(20) == 137


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["plan", "procs", "namespaces", "v1", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
# Words that a shim knows and that do not end the container when they are meant.
WORDS = ("exec", "exec_signal", "resize", "attach", "detach", "input_end", "cgroups", "memory_watch", "step", "nonsense")


def test_no_message_that_makes_no_sense_ends_a_container_or_its_shim(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    folder = os.open(engine.paths.containers / container.id, os.O_PATH)

    @settings(max_examples=150, deadline=None, database=None)
    @given(st.dictionaries(st.sampled_from(WORDS), ANYTHING, min_size=1, max_size=2) | ANYTHING)
    def send(value: Any) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(f"/proc/self/fd/{folder}/shim.sock")
            sock.send(b"J" + json.dumps(value).encode())

    send()
    os.close(folder)
    assert container.exec(["echo", "well"]).stdout == "well\n"
    container.kill()
    assert container.wait(20) == 137


def test_worker_calls_only_functions_of_this_package(engine: Engine) -> None:
    for function in ("os:system", "builtins:eval", "labcontainers:x", "subprocess:run"):
        with pytest.raises(LabError):
            engine._launcher.call(function, command="true")


def test_private_memory_of_a_shim_beside_an_idle_container_is_below_one_and_a_half_mebibytes(engine: Engine) -> None:
    sh(engine, "true")  # the first one finds its launcher busy with starting
    sizes = []
    for _ in range(3):
        container = engine.containers.run(BASE, ["sleep", "600"], network="none", detach=True)
        sizes.append(private_bytes_of_shim(container))
        container.kill()
    assert 0 < sorted(sizes)[1] < 3 << 19, sizes


def test_private_memory_of_a_shim_at_work_stays_below_two_megabytes(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "while :; do echo line; sleep 0.01; done"], network="none", detach=True)
    container.exec(["true"])
    assert 0 < private_bytes_of_shim(container) < 2 << 20
    container.kill()


def private_bytes_of_shim(container: Container) -> int:
    (shim,) = [pid for pid in leaks.descendants() if leaks.describe(pid).startswith(f"lab-shim {container.name}")]
    lines = Path(f"/proc/{shim}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes["Private_Dirty"] + sizes["Private_Clean"]


def test_two_containers_that_make_the_same_folder_of_a_volume_at_once_both_start(engine: Engine, place: Path) -> None:
    shared, inner = place / "shared", place / "inner"
    shared.mkdir()
    inner.mkdir()
    problems: list[BaseException] = []

    def start(number: int) -> None:
        try:
            sh(engine, "true", volumes=[f"{shared}:/shared", f"{inner}:/shared/deep/{number // 4}/inner"])
        except BaseException as error:
            problems.append(error)

    for round_ in range(3):
        threads = [threading.Thread(target=start, args=(round_ * 8 + number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert problems == []


def test_forbidden_calls_of_the_table_are_those_of_this_machine() -> None:
    known = {name: syscalls.number(name) for name in ("unshare", "setns", "mount", "umount2", "pivot_root", "keyctl", "sethostname")}
    assert {name: numbers()[name] for name in known} == known
