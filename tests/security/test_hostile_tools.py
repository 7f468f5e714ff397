"""Programs, libraries and variables that an image has where an engine might take its own; each test names the weakness that it repeats."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError, NotFound, StartFailed
from labcontainers.images.image import Image
from tests.fakes.bundle import Bundle
from tests.security.hostile import BASE, make_image, put
from tests.security.test_kernel_facing import Watch

PYTHON = "lab/python"
RUN: dict[str, Any] = {"network": "none", "remove": True}
TOOLS = ("xz", "unxz", "xzcat", "gzip", "gunzip", "zcat", "pigz", "unpigz", "igzip", "bzip2", "bunzip2", "zstd", "unzstd", "tar", "bsdtar")
FORMS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def image_with_tools(engine: Engine) -> Image:
    """Programs that unpack, which tell that they ran."""

    def fill(tree: Path) -> None:
        for folder in ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"):
            for tool in TOOLS:
                put(tree, f"/{folder}/{tool}", "#!/bin/sh\n: > /ran\ncat\n", 0o755)

    return make_image(engine, fill)


def archive() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        info = tarfile.TarInfo("file")
        info.size = 1
        made.addfile(info, io.BytesIO(b"x"))
    return data.getvalue()


# moby CVE-2026-41567: xz and unpigz of the container ran, with all rights of who copies
def test_no_program_of_a_container_unpacks_what_is_copied_into_it(engine: Engine) -> None:
    container = engine.containers.create(image_with_tools(engine), ["sleep", "100"], network="none")
    for started in (False, True):
        for number, pack in enumerate(FORMS.values()):
            folder = f"/{'ab'[started]}{number}"
            made = tarfile.TarInfo(folder[1:])
            made.type = tarfile.DIRTYPE
            container.put_archive("/", made.tobuf() + bytes(1024))
            container.put_archive(folder, pack(archive()))
            container.get_archive(f"{folder}/file")
        with pytest.raises(NotFound):
            container.get_archive("/ran")
        if not started:
            container.start()
    assert container.exec(["xz", "-d"]).exit_code == 0
    container.get_archive("/ran")
    container.kill()


def test_no_program_of_an_image_unpacks_what_a_build_adds_to_it(engine: Engine, place: Path) -> None:
    image_with_tools(engine)
    for name, pack in FORMS.items():
        (place / f"a.tar.{name}").write_bytes(pack(archive()))
    steps = "".join(f"ADD a.tar.{name} /from-{name}/\n" for name in FORMS)
    text = f"FROM hostile/image\n{steps}RUN cat /from-*/file && test ! -e /ran\n"
    assert engine.images.build(place, dockerfile_text=text, network="none").steps[-1].output == "xxx"


# a library that ld.so(8) is told of by a file, and not by a variable
@pytest.fixture
def preload(place: Path) -> tuple[Path, Watch]:
    folder = place / "etc-of-the-image"
    folder.mkdir()
    (folder / "ld.so.preload").write_text("/evil.so\n")
    return folder / "ld.so.preload", Watch(folder)


def test_what_an_image_has_in_ld_so_preload_is_read_by_no_tool_of_the_engine(engine: Engine, preload: tuple[Path, Watch]) -> None:
    file, watch = preload
    volumes = [f"{file}:/etc/ld.so.preload:ro"]
    for more in ({}, {"init": True}, {"tty": True}):
        with pytest.raises(StartFailed):
            engine.containers.run(BASE, ["/no/such/program"], volumes=volumes, **more, **RUN)
    container = engine.containers.run(BASE, ["sleep", "100"], volumes=volumes, network="none", detach=True)
    watch.names()
    for attempt in ({"command": ["/no/such"]}, {"command": ["true"], "user": "nobody-here"}, {"command": ["/no"], "tty": True}):
        with pytest.raises(LabError):
            container.exec(**attempt)
    container.top()
    container.stats()
    container.security()
    container.diff()
    container.commit("kept/here")
    container.put_archive("/tmp", gzip.compress(archive()))
    assert b"".join(container.get_archive("/tmp")[0])
    assert b"".join(container.export())
    assert watch.names() == set()
    container.kill()
    container.wait()
    container.put_archive("/tmp", archive())
    assert watch.names() == set()
    done = engine.containers.run(PYTHON, ["python3", "-c", "print('well')"], volumes=volumes, **RUN)
    assert (done.exit_code, done.stdout) == (0, "well\n")
    assert watch.names() == {"ld.so.preload"}, "the watch sees what the container's own programs load"
    os.close(watch.fd)


@pytest.mark.needs("busybox")
def test_nor_by_the_oci_runtime_command(tmp_path: Path, preload: tuple[Path, Watch]) -> None:
    file, watch = preload
    bundle = Bundle(tmp_path)
    (bundle.rootfs / "etc/ld.so.preload").touch()
    bundle.config["mounts"].append({"destination": "/etc/ld.so.preload", "type": "bind", "source": str(file), "options": ["bind", "ro"]})
    bundle.says("/no/such/program").run(ok=False)
    bundle.says("sleep", "1000").call("run", "-d", "one")
    bundle.call("exec", "one", "/no/such/program", ok=False)
    bundle.call("exec", "one", "true")
    bundle.call("ps", "one")
    bundle.call("delete", "-f", "one")
    assert watch.names() == set()
    os.close(watch.fd)


# podman CVE-2026-57231: a name alone, or a star, took the variables of whoever ran the image
def test_a_variable_of_an_image_without_a_value_takes_none_of_the_hosts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_SECRET", "only-of-the-host")
    for names in (("LAB_SECRET",), ("*",), ("LAB_*", "LAB_SECRET*", "?AB_SECRET")):
        image = make_image(engine, env=("PATH=/bin:/usr/bin", *names))
        seen = []
        with contextlib.suppress(LabError):
            seen.append(engine.containers.run(image, ["env"], **RUN).stdout)
            container = engine.containers.run(image, ["sleep", "100"], network="none", detach=True)
            seen.append(container.exec(["env"]).stdout)
            container.kill()
        with contextlib.suppress(LabError):
            seen.append(engine.images.build(dockerfile_text="FROM hostile/image\nRUN env\n", network="none").steps[-1].output)
        assert "only-of-the-host" not in "".join(seen)
        assert all("PATH=/bin:/usr/bin" in text for text in seen)
