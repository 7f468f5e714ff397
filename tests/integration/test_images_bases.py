"""The embedded base images on this host, as whoever runs the tests: made of its busybox, and of its ordinary programs without one."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.images import certificates
from labcontainers.images.bases import find_static_busybox
from tests.fakes.elf_file import elf_file

pytestmark = pytest.mark.empty_store
HOUSE = Path(__file__).resolve().parents[2]
SYSTEM = ("/usr/local/bin", "/usr/bin", "/bin")
EVERYDAY = """
set -e
cd /tmp && mkdir a && echo one two > a/f && cp a/f a/g && mv a/g a/h && ln -s f a/l && cat a/l | tr a-z A-Z
grep -c two a/f; sed s/one/1/ a/f; cut -d' ' -f2 a/f; find a -type f | sort | xargs wc -l | tail -n 1
tar -cf t.tar a && rm -r a && tar -xf t.tar && ls a && sha256sum a/f | head -c 8 && echo
ps >/dev/null; ip addr >/dev/null; id -un; id -gn; test -x /bin/sh; env >/dev/null; date >/dev/null; sleep 0; true
"""
SHA256 = hashlib.sha256(b"one two\n").hexdigest()
SAID = f"ONE TWO 1 1 two two 2 total f h l {SHA256[:8]} root root"
MAKER = """
import sys
from labcontainers import Engine
with Engine(root=sys.argv[1], run_root=sys.argv[2]) as engine:
    print(engine.images.get(sys.argv[3]).id)
"""
MODULES = ("ssl", "sqlite3", "json", "ctypes", "lzma", "bz2", "zlib", "hashlib", "decimal", "uuid", "asyncio")
USES_LATE_LIBRARIES = """
import pwd, threading
thread = threading.Thread(target=print, args=("in a thread",))
thread.start()
thread.join()
print(pwd.getpwnam("lab").pw_dir)
"""


def programs(folder: Path, leave_out: str = "busybox") -> str:
    """A folder that leads to all programs of this host but those whose name begins with `leave_out`."""
    folder.mkdir()
    for name in {name: f"{place}/{name}" for place in reversed(SYSTEM) for name in os.listdir(place)}.items():
        if not name[0].startswith(leave_out):
            (folder / name[0]).symlink_to(name[1])
    return str(folder)


@pytest.fixture(params=[pytest.param("busybox", marks=pytest.mark.needs("busybox")), "programs"])
def made_of(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What lab/base will be made of, by the PATH that this process gets."""
    if request.param == "programs":
        monkeypatch.setenv("PATH", programs(place / "bin"))
        assert find_static_busybox() is None
    return str(request.param)


def run(engine: Engine, image: str, *command: str) -> str:
    result = engine.containers.run(image, list(command), network="none", remove=True)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_lab_base_has_a_shell_and_the_everyday_commands(made_of: str, engine: Engine) -> None:
    image = engine.images.get("lab/base")
    assert (made_of in image.history[0].created_by, len(image.layers)) == (True, 1)
    assert run(engine, "lab/base", "sh", "-c", EVERYDAY).split() == SAID.split()


def test_lab_base_has_accounts_and_the_hosts_certificates(made_of: str, engine: Engine) -> None:
    text = run(engine, "lab/base", "cat", "/etc/passwd", "/etc/group", f"/{certificates.BUNDLE}")
    assert "root:x:0:0:root:/root:/bin/sh\n" in text
    assert "nogroup:x:65534:" in text
    bundle = certificates.find_bundle()
    assert bundle is not None
    assert text.endswith(Path(bundle).read_text())


def test_lab_python_runs_the_interpreter_with_what_the_host_has(made_of: str, engine: Engine) -> None:
    wanted = [name for name in MODULES if there(name)]
    assert {"json", "ctypes", "zlib"} <= set(wanted)
    program = f"import {', '.join(wanted)}\n{USES_LATE_LIBRARIES}"
    assert run(engine, "lab/python", "python3", "-c", program) == "in a thread\n/home/lab\n"
    assert run(engine, "lab/python", "python", "--version") == f"Python {platform.python_version()}\n"


def there(name: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0


def test_lab_python_trusts_the_authorities_of_lab_base(made_of: str, engine: Engine) -> None:
    count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    bundle = certificates.find_bundle()
    assert bundle is not None
    assert 0 < int(run(engine, "lab/python", "python3", "-c", count)) <= Path(bundle).read_text().count("BEGIN CERTIFICATE")


def test_a_busybox_that_does_not_run_is_passed_over(place: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = programs(place / "bin")
    Path(folder, "busybox").write_bytes(elf_file())
    Path(folder, "busybox").chmod(0o755)
    monkeypatch.setenv("PATH", folder)
    assert find_static_busybox() == f"{folder}/busybox"
    assert "programs" in engine.images.get("lab/base").history[0].created_by
    assert run(engine, "lab/base", "sh", "-c", "echo $0 works") == "sh works\n"


def test_the_same_host_files_give_the_same_image(make_engine: Callable[[], Engine], place: Path) -> None:
    engine = make_engine()
    first = engine.images.get("lab/python").id
    for name in ("lab/python", "lab/base"):
        engine.images.remove(name, force=True)
    assert engine.images.list(all=True) == []
    assert engine.images.get("lab/python").id == first


@pytest.fixture
def start_maker(place: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that asks for a base image in the store that `engine` uses too."""
    started: list[subprocess.Popen[str]] = []

    def start(image: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", MAKER, str(place / "s"), str(place / "r"), image]
        started.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=HOUSE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_several_processes_that_ask_at_once_get_one_image_that_was_made_once(
    start_maker: Callable[[str], subprocess.Popen[str]], make_engine: Callable[[], Engine], place: Path
) -> None:
    makers = [start_maker(image) for image in ("lab/python", "lab/base", "lab/python", "lab/base")]
    ids = [maker.communicate(timeout=120)[0].strip() for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0, 0, 0]
    engine = make_engine()
    assert ids == [engine.images.get(image).id for image in ("lab/python", "lab/base", "lab/python", "lab/base")]
    assert engine.store.snapshots.verify(deep=True) == []
    lines = [json.loads(line) for line in engine.paths.events.read_text().splitlines()]
    assert sorted(line["name"] for line in lines if line["action"] == "tag") == ["lab/base:latest", "lab/python:latest"]
    assert engine.store.leftovers() == []


def test_a_maker_that_is_killed_at_any_instant_leaves_nothing_half_made(
    start_maker: Callable[[str], subprocess.Popen[str]], make_engine: Callable[[], Engine]
) -> None:
    dice = random.Random(3)
    for _ in range(4):
        maker = start_maker("lab/python")
        time.sleep(dice.uniform(0.1, 1.2))
        maker.kill()
        maker.wait()
    engine = make_engine()
    assert run(engine, "lab/python", "python3", "-c", "print(6 * 7)") == "42\n"
    assert engine.store.snapshots.verify(deep=True) == []
