"""What the files and the config of an image try against the runtime; each test names the weakness of another engine that it repeats."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError, StartFailed
from tests.security.hostile import BASE, link, make_image, put

RUN: dict[str, Any] = {"network": "none", "remove": True}


def sh(engine: Engine, image: Any, script: str, **options: Any) -> str:
    result = engine.containers.run(image, ["sh", "-c", script], **{**RUN, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def host_is_untouched(folder: Path) -> None:
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["canary"]
    assert (folder / "canary").read_text() == "host"


# runc CVE-2019-5736
def test_interpreter_of_the_engine_cannot_be_reached_through_proc_self_exe(engine: Engine) -> None:
    def fill(tree: Path) -> None:
        put(tree, "/evil", "#!/proc/self/exe\n", 0o755)
        link(tree, "/linked", "/proc/self/exe")

    interpreter = Path(os.path.realpath(sys.executable))
    before = hashlib.sha256(interpreter.read_bytes()).hexdigest()
    image = make_image(engine, fill)
    watch = (
        "while :; do for p in /proc/[0-9]*; do e=$(readlink $p/exe) && echo $e; "
        "(exec 3<$p/exe && echo x >/proc/self/fd/3) 2>/dev/null && echo WRITTEN; done; done"
    )
    container = engine.containers.run(image, ["sh", "-c", watch], network="none", detach=True)
    for program in ("/evil", "/linked"):
        for _ in range(15):
            try:
                container.exec([program, "-c", "import time; time.sleep(1)"])
            except StartFailed:
                continue
    container.kill()
    container.wait()
    seen = set(container.logs().text.split("\n"))
    assert "WRITTEN" not in seen
    assert not [exe for exe in seen if str(interpreter) in exe]
    assert hashlib.sha256(interpreter.read_bytes()).hexdigest() == before


def test_launcher_and_shims_run_from_a_sealed_copy(engine: Engine) -> None:
    from tests import leaks

    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    ours = [pid for pid in leaks.descendants() if leaks.describe(pid).startswith(("lab-launcher", "lab-shim"))]
    assert len(ours) >= 2
    assert all(os.readlink(f"/proc/{pid}/exe").startswith("/memfd:labcontainers") for pid in ours)
    container.kill()


# runc CVE-2024-21626
@pytest.mark.parametrize("path", [*(f"/proc/self/fd/{number}" for number in range(3, 21)), "/proc/self/cwd/../..", "/proc/1/fd/7"])
def test_working_directory_behind_a_descriptor_is_refused_also_from_the_image_and_for_exec(engine: Engine, path: str) -> None:
    image = make_image(engine, lambda tree: link(tree, "/way", path), working_dir="/way")
    for options in ({}, {"working_dir": path}):
        try:
            shown = sh(engine, image, "pwd -P; ls -a /..; test -e /mark-of-this-image", **options)
        except StartFailed:
            continue
        assert "unreachable" not in shown
    container = engine.containers.run(image, ["sleep", "100"], network="none", detach=True, working_dir="/")
    try:
        result = container.exec(["sh", "-c", "pwd -P; ls /mark-of-this-image"], working_dir=path)
        assert result.stdout.split()[-1] == "/mark-of-this-image"
    except StartFailed:
        pass
    container.kill()


def test_workload_and_exec_hold_three_descriptors(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    assert container.exec(["ls", "/proc/1/fd"]).stdout.split() == ["0", "1", "2"]
    # The third is that of ls itself, for the folder.
    assert container.exec(["sh", "-c", "ls /proc/$$/fd; true"]).stdout.split() == ["0", "1", "2"]
    container.kill()


# runc CVE-2019-19921, CVE-2023-27561, CVE-2025-31133, CVE-2025-52881, CVE-2026-41579
@pytest.mark.parametrize("place_of_kernel", ["/proc", "/dev", "/sys"])
@pytest.mark.parametrize("target", ["OUTSIDE", "../../../../../../OUTSIDE", "/etc", "/nowhere", "."])
def test_image_that_has_a_link_where_the_kernels_file_systems_belong_is_refused(
    engine: Engine, outside: Path, place_of_kernel: str, target: str
) -> None:
    aim = target.replace("OUTSIDE", str(outside).lstrip("/") if target.startswith(".") else str(outside))

    def fill(tree: Path) -> None:
        (tree / "etc").mkdir(exist_ok=True)
        link(tree, place_of_kernel, aim)

    with pytest.raises(StartFailed) as caught:
        engine.containers.run(make_image(engine, fill), ["true"], **RUN)
    assert place_of_kernel in caught.value.message
    host_is_untouched(outside)


@pytest.mark.parametrize("place_of_kernel", ["/proc", "/dev", "/sys"])
def test_image_that_has_a_file_where_the_kernels_file_systems_belong_is_refused(engine: Engine, place_of_kernel: str) -> None:
    with pytest.raises(StartFailed, match=place_of_kernel):
        engine.containers.run(make_image(engine, lambda tree: put(tree, place_of_kernel)), ["true"], **RUN)


# runc CVE-2025-31133, CVE-2025-52565
def test_devices_of_an_image_are_never_used(engine: Engine) -> None:
    def fill(tree: Path) -> None:
        link(tree, "/dev/null", "/proc/sys/kernel/core_pattern")
        link(tree, "/dev/console", "/proc/sysrq-trigger")
        link(tree, "/dev/pts", "/etc")
        put(tree, "/dev/shm", "a file")

    shown = sh(
        engine, make_image(engine, fill), "stat -c %F:%t:%T /dev/null; stat -c %F /dev/pts /dev/shm; cat /proc/keys /proc/timer_list; echo"
    )
    assert shown.split("\n")[:3] == ["character special file:1:3", "directory", "directory"]
    assert shown.strip().endswith("directory")


@pytest.mark.needs("root")
def test_device_node_in_a_layer_does_not_work(engine: Engine) -> None:
    def fill(tree: Path) -> None:
        os.mknod(tree / "memory", 0o20666, os.makedev(1, 5))

    image = make_image(engine, fill)
    assert sh(engine, image, "head -c 1 /memory 2>&1 || echo refused").endswith("refused\n")
    assert sh(engine, image, "mknod /mine c 1 5 2>&1 || echo refused").endswith("refused\n")


# buildah CVE-2024-9676
@pytest.mark.parametrize("kind", ["fifo", "outside", "magic", "directory", "huge", "device"])
def test_passwd_of_an_image_is_read_without_harm(engine: Engine, outside: Path, kind: str) -> None:
    (outside / "canary").write_text("somebody:x:0:0::/:\n")

    def fill(tree: Path) -> None:
        for name in ("passwd", "group"):
            path = tree / "etc" / name
            path.parent.mkdir(exist_ok=True)
            if kind == "fifo":
                os.mkfifo(path)
            elif kind == "directory":
                path.mkdir()
            elif kind == "huge":
                with path.open("wb") as file:
                    file.truncate(1 << 26)
            else:
                path.symlink_to({"outside": str(outside / "canary"), "magic": "/proc/self/fd/3", "device": "/dev/zero"}[kind])

    image = make_image(engine, fill)
    with pytest.raises(StartFailed, match="somebody"):
        engine.containers.run(image, ["true"], user="somebody", **RUN)
    assert sh(engine, image, "grep Uid /proc/self/status", user="0").split()[1] == "0"


# containerd CVE-2024-40635, crun CVE-2026-30892
@pytest.mark.parametrize("user", ["4294967296", "2147483648", "-1", "0x0", " 1", "1000abc", "99999999999999999999", "0:4294967296"])
def test_user_that_is_no_plain_number_or_name_never_becomes_root(engine: Engine, user: str) -> None:
    image = make_image(engine, lambda tree: put(tree, "/etc/passwd", "root:x:0:0::/:\n:x:0:0::/:\n"), user=user)
    with pytest.raises(StartFailed):
        engine.containers.run(image, ["id"], **RUN)
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    with pytest.raises(LabError):
        container.exec(["id"], user=user)
    container.kill()


def test_user_without_a_group_behind_its_colon_is_that_user(engine: Engine) -> None:
    image = make_image(engine, lambda tree: put(tree, "/etc/passwd", "root:x:0:0::/:\n:x:0:0::/:\n"), user="1000:")
    if engine.info()["IDs"] == "single":
        with pytest.raises(StartFailed, match="1000"):
            engine.containers.run(image, ["id", "-u"], **RUN)
    else:
        assert engine.containers.run(image, ["id", "-u"], **RUN).stdout == "1000\n"


def test_number_of_a_user_is_not_an_account_of_that_name(engine: Engine) -> None:
    image = make_image(engine, lambda tree: put(tree, "/etc/passwd", "1000:x:0:0::/:\nroot:x:0:0::/:\n"))
    if engine.info()["IDs"] == "single":
        with pytest.raises(StartFailed, match="1000"):
            engine.containers.run(image, ["id", "-u"], user="1000", **RUN)
    else:
        assert sh(engine, image, "id -u", user="1000") == "1000\n"


# containerd CVE-2023-25173, moby CVE-2022-36109
def test_groups_of_the_user_are_exactly_those_of_the_image(engine: Engine) -> None:
    def fill(tree: Path) -> None:
        put(tree, "/etc/passwd", "root:x:0:0::/:\nalice:x:1000:1000::/:\n")
        put(tree, "/etc/group", "root:x:0:root\nalice:x:1000:\nvideo:x:44:alice\nother:x:55:bob\n")

    image = make_image(engine, fill)
    if engine.info()["IDs"] == "single":
        with pytest.raises(StartFailed, match="only one user id"):
            engine.containers.run(image, ["id"], user="alice", **RUN)
        return
    script = "grep -E '^(Uid|Gid|Groups)' /proc/self/status"
    assert sh(engine, image, script, user="alice").split() == (["Uid:", *["1000"] * 4, "Gid:", *["1000"] * 4, "Groups:", "44", "1000"])
    container = engine.containers.run(image, ["sleep", "100"], network="none", detach=True)
    assert container.exec(["sh", "-c", script], user="alice:video").stdout.split()[-2:] == ["Groups:", "44"]
    container.kill()


# docker CVE-2019-14271
def test_code_of_the_image_is_never_loaded_by_the_engines_own_processes(engine: Engine) -> None:
    trap = "import os\nos.close(os.open('/loaded-by-the-engine', os.O_CREAT))\n"
    folders = {*filter(None, sys.path), *sysconfig.get_paths().values()}
    names = [
        "sitecustomize",
        "usercustomize",
        "warnings",
        "pwd",
        "grp",
        "idna",
        "locale",
        "traceback",
        "linecache",
        "tokenize",
        "stringprep",
    ]

    def fill(tree: Path) -> None:
        for folder in (path for path in folders if path.startswith(("/usr", "/opt", "/root", "/home"))):
            for name in names:
                put(tree, f"{folder}/{name}.py", trap)
            put(tree, f"{folder}/encodings/idna.py", trap)
            put(tree, f"{folder}/encodings/punycode.py", trap)
        put(tree, "/etc/nsswitch.conf", "passwd: evil\ngroup: evil\n")
        put(tree, "/etc/ld.so.preload", "/no-such-library.so\n")

    image = make_image(engine, fill, user="root", env=("PYTHONPATH=/usr/lib/python3.11", "LD_PRELOAD=/evil.so", "PATH=/bin:/usr/bin"))
    container = engine.containers.create(image, ["nosuchprogram\udcff\u2603"], network="none", hostname="xn--box")
    with pytest.raises(StartFailed):
        container.start()
    running = engine.containers.run(image, ["sleep", "100"], network="none", detach=True)
    for user, command in (("root", ["true"]), ("root", ["nosuch"]), ("nobody-here", ["true"])):
        try:
            running.exec(command, user=user)
        except StartFailed:
            continue
    assert running.exec(["ls", "/loaded-by-the-engine"]).exit_code != 0
    for each in (container, running):
        assert not (engine.paths.containers / each.id / "upper" / "loaded-by-the-engine").exists()
    running.kill()


# podman CVE-2026-55686, runc CVE-2024-45310
def test_folders_are_made_inside_the_root_however_the_image_bends_the_way(engine: Engine, outside: Path, place: Path) -> None:
    folder = place / "data"
    folder.mkdir()

    def fill(tree: Path) -> None:
        (tree / str(outside).lstrip("/")).mkdir(parents=True)
        link(tree, "/way", "../" * 20 + str(outside).lstrip("/"))
        link(tree, "/absolute", str(outside))
        link(tree, "/nowhere", str(outside / "nothing"))

    image = make_image(engine, fill, working_dir="/way/made")
    assert sh(engine, image, "pwd -P") == f"{outside}/made\n"
    for way in ("/way", "/absolute", "/nowhere"):
        for options in ({"volumes": [f"{folder}:{way}/volume"]}, {"tmpfs": [f"{way}/tmp"]}, {"working_dir": f"{way}/work"}):
            with contextlib.suppress(StartFailed) if way == "/nowhere" else contextlib.nullcontext():
                sh(engine, image, "true", **options)
    host_is_untouched(outside)


# containerd CVE-2022-23648
def test_volumes_of_an_images_config_reach_no_file_of_the_host(engine: Engine, outside: Path) -> None:
    image = make_image(engine, volumes=("/../../../../../../etc", str(outside)))
    with contextlib.suppress(LabError):
        assert "canary" not in sh(engine, image, f"ls -a {outside} / 2>/dev/null; true")
    host_is_untouched(outside)


# containerd CVE-2021-32760 and buildah's hard links: a layer leads nowhere, whatever is written to it
def test_links_of_a_layer_lead_writes_into_the_root_alone(engine: Engine, outside: Path) -> None:
    image = make_image(engine, lambda tree: link(tree, "/out", str(outside / "canary")))
    assert sh(engine, image, f"mkdir -p {outside}; echo changed > /out; chmod 777 /out; cat {outside}/canary") == "changed\n"
    assert (outside / "canary").stat().st_mode & 0o777 != 0o777
    host_is_untouched(outside)
