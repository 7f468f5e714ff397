"""An image from a package mirror on loopback: what is in it, what images share, what a lock keeps, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, Denied, DigestMismatch, InvalidArgument, LabError, NotFound, StepFailed, Unavailable, Unsupported
from labcontainers.images.bases import find_static_busybox
from labcontainers.images.debs.layers import SEPARATE
from labcontainers.store import compression
from tests.fakes.deb_repository import Deb, Repository, Signer, verifiers

pytestmark = [pytest.mark.empty_store, pytest.mark.needs("busybox")]

PASSWD = "root:*:0:0:root:/root:/bin/bash\nshy:*:7:7:shy:/:/bin/false\n"
GROUP = "root:*:0:\nshy:*:7:\n"
# stands in for dpkg where only the scripts matter
DPKG = """#!/bin/sh
for script in /var/lib/dpkg/info/*.postinst; do "$script" configure || exit 1; done
sed -i 's/ok unpacked/ok installed/' /var/lib/dpkg/status
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and tells nobody."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def mirror(place: Path) -> Repository:
    """A suite with the packages of the variant busybox, and some more."""
    repository = Repository(place / "mirror")
    busybox = Path(str(find_static_busybox())).read_bytes().decode("latin-1")
    repository.add(
        Deb("base-files", "12", files={"etc/os-release": "ID=debian\n", "root": None, "tmp": None}, control={"Pre-Depends": "awk"}),
        Deb("base-passwd", files={"usr/share/base-passwd/passwd.master": PASSWD, "usr/share/base-passwd/group.master": GROUP}),
        Deb("busybox-static", "1:1.35.0-4", files={"bin/busybox": (busybox, 0o755)}),
        Deb("mawk", control={"Provides": "awk"}, files={"usr/bin/mawk": ("#!/bin/sh\necho mawk\n", 0o755)}),
        Deb("tool", control={"Depends": "libtool-data (>= 1.0)"}, files={"usr/bin/tool": ("#!/bin/sh\ncat /lib/data\n", 0o755)}),
        Deb("libtool-data", architecture="all", files={"lib/data": "of a package\n"}, control={"Multi-Arch": "foreign"}),
        Deb("bad", control={"Conflicts": "tool"}),
        Deb("apt", files={"usr/bin/apt": ("", 0o755)}),
        Deb("debian-archive-keyring", files={"usr/share/keyrings/debian-archive-keyring.gpg": ""}),
        Deb(
            "configured",
            files={"etc/configured": "no\n"},
            scripts={
                "conffiles": "/etc/configured\n",
                "postinst": '#!/bin/sh\necho "$1" > /made\nmkdir -p /var/log\ncat /proc/sys/kernel/random/uuid > /var/log/dpkg.log\n',
                "preinst": "#!/bin/sh\nid -u > /before\n",
            },
        ),
        Deb("failing", scripts={"postinst": "#!/bin/sh\necho it cannot be done\nexit 3\n"}),
        Deb("dpkg", files={"usr/bin/dpkg": (DPKG, 0o755)}),
        *(Deb(f"many{number}", files={f"usr/share/many/{number}": str(number)}) for number in range(SEPARATE + 4)),
    )
    repository.publish()
    return repository


@pytest.fixture
def uri(mirror: Repository) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(mirror.root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


Make = Callable[..., Any]


@pytest.fixture
def make(engine: Engine, uri: str) -> Make:
    """Bootstraps from the mirror, without a signature unless a test says something else."""
    usual = {"variant": "busybox", "mirror": uri, "verify": False, "architecture": "amd64"}
    return lambda **options: engine.images.bootstrap("debian:bookworm", **{**usual, **options})


def test_programs_of_packages_run_with_all_that_they_need(engine: Engine, make: Make) -> None:
    image = make(packages=["tool"], tag="tools")
    assert image.tags == ("docker.io/library/tools:latest",) or "tools:latest" in image.tags
    said = engine.containers.run(
        "tools", ["sh", "-c", "tool; id -un; ls -d /bin /lib/data /var/run; readlink /bin; /usr/bin/awk; readlink /usr/bin/ls"]
    )
    assert said.stdout.split("\n")[:-1] == [
        "of a package", "root", "/bin", "/lib/data", "/var/run", "usr/bin", "mawk", "busybox",
    ]  # fmt: skip
    status = engine.containers.run("tools", ["cat", "/var/lib/dpkg/status"]).stdout
    assert status.count("Status: install ok unpacked\n") == 6
    assert "Package: libtool-data\nStatus: install ok unpacked\nVersion: 1.0-1\n" in status


def test_a_package_cannot_put_a_file_of_the_host_into_the_image(engine: Engine, make: Make, mirror: Repository, place: Path) -> None:
    (place / "secret").mkdir()
    (place / "secret/passwd.master").write_text("secret\n")
    mirror.debs = [deb for deb in mirror.debs if deb.name != "base-passwd"]
    mirror.add(Deb("base-passwd", files={"usr/share/base-passwd": f"-> {place}/secret"}))
    mirror.publish()
    make(tag="hostile")
    assert engine.containers.run("hostile", ["cat", "/etc/passwd"]).stdout == ""


def test_every_package_is_a_layer_of_its_own_and_tells_which_it_is(make: Make) -> None:
    image = make(packages=["tool"])
    told = [layer.created_by for layer in image.layers]
    assert told[1:-1] == [
        "deb mawk 1.0-1 amd64", "deb base-files 12 amd64", "deb base-passwd 1.0-1 amd64", "deb busybox-static 1:1.35.0-4 amd64",
        "deb libtool-data 1.0-1 all", "deb tool 1.0-1 amd64",
    ]  # fmt: skip
    assert "/usr/bin/tool" in [file.path for file in image.layers[-2].files]


def test_apt_in_an_image_knows_the_distributions_archive_not_the_mirror(engine: Engine, make: Make) -> None:
    look = ["sh", "-c", "cat /etc/apt/sources.list.d/debian.sources"]
    make(packages=["apt"], tag="plain")
    plain = engine.containers.run("plain", look).stdout
    assert plain.startswith(
        "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\n"
    )
    make(packages=["apt", "debian-archive-keyring"], tag="signed")
    signed = engine.containers.run("signed", look).stdout
    assert signed.count("Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n") == 2
    make(tag="without")
    assert engine.containers.run("without", look).exit_code == 1


def test_images_of_one_variant_share_its_layers(make: Make) -> None:
    plain, more = make(tag="plain"), make(packages=["tool"], tag="more")
    assert plain.diff_ids[:-1] == more.diff_ids[: len(plain.diff_ids) - 1]


def test_packages_of_ubuntu_are_packed_by_zstd(engine: Engine, mirror: Repository, place: Path) -> None:
    ubuntu = Repository(place / "ubuntu", "noble")
    ubuntu.origin, ubuntu.components = "Ubuntu", ("main", "universe")
    ubuntu.add(*(replace(deb, compress=compression._zstd().compress, ending=".zst") for deb in mirror.debs))
    ubuntu.publish()
    image = engine.images.bootstrap(
        "ubuntu:noble", packages="tool", variant="busybox", mirror=ubuntu.root.as_uri(), verify=False, architecture="amd64"
    )
    assert engine.containers.run(image, ["tool"]).stdout == "of a package\n"


def test_the_same_packages_give_the_same_image_in_another_store(make: Make, uri: str, place: Path) -> None:
    ours = make(packages=["tool"])
    with Engine(root=place / "other", run_root=place / "run") as other:
        theirs = other.images.bootstrap(
            "debian:bookworm", packages="tool", variant="busybox", mirror=uri, verify=False, architecture="amd64"
        )
    assert theirs.id == ours.id


def test_a_lock_gives_the_same_image_when_the_mirror_has_newer_packages(make: Make, mirror: Repository, place: Path) -> None:
    first = make(packages=["tool"], lock=place / "lock")
    mirror.add(Deb("tool", "2.0", files={"usr/bin/tool": ("newer", 0o755)}))
    mirror.publish()
    assert make(packages=["tool"], lock=place / "lock").id == first.id
    assert make(packages=["tool"]).id != first.id
    with pytest.raises(Conflict, match="is for packages 'tool', not 'none'"):
        make(lock=place / "lock")


def test_what_the_store_has_is_not_fetched_again(make: Make, mirror: Repository, place: Path) -> None:
    first = make(packages=["tool"], lock=place / "lock")
    for path in (mirror.root / "pool").iterdir():
        path.unlink()
    assert make(packages=["tool"], lock=place / "lock").id == first.id
    with pytest.raises(NotFound, match="the mirror has no such file"):
        make(packages=["many1"])


def test_a_layer_of_several_packages_is_as_large_as_all_of_them(engine: Engine, make: Make, mirror: Repository) -> None:
    for name, size in (("first", 300_000), ("second", 200_000), ("third", 1)):
        mirror.add(Deb(name, files={f"usr/share/{name}": "x" * size}))
    mirror.publish()
    image = make(packages=[*(f"many{number}" for number in range(SEPARATE)), "first", "second", "third"])
    (shared,) = [layer for layer in image.layers if "third" in layer.created_by and "first" in layer.created_by]
    assert shared.size_bytes > 500_000
    assert engine.images.verify(image.id).problems == ()
    assert engine.store.verify(deep=True) == []


def test_packages_beyond_the_first_ones_share_a_layer_and_say_so(engine: Engine, make: Make) -> None:
    lines: list[str] = []
    image = make(packages=[f"many{number}" for number in range(SEPARATE + 4)], on_line=lines.append, tag="many")
    assert "4 packages share a layer: overlay has room for some dozens of layers only" in lines
    assert len(image.diff_ids) == 1 + 4 + SEPARATE + 1 + 1
    assert engine.containers.run("many", ["sh", "-c", "ls /usr/share/many | wc -l"]).stdout.strip() == str(SEPARATE + 4)


def test_maintainer_scripts_give_the_same_image_each_time(engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make(packages=["configured", "dpkg"], configure=True)
    assert make(packages=["configured", "dpkg"], configure=True).id == image.id
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert make(packages=["configured", "dpkg"], configure=True).history[-1].created == "2001-09-09T01:46:40Z"


def test_maintainer_scripts_run_where_they_are_asked_for(engine: Engine, make: Make) -> None:
    image = make(packages=["configured", "dpkg"], configure=True, tag="made")
    assert image.layers[-1].created_by == "labcontainers bootstrap: maintainer scripts"
    said = engine.containers.run("made", ["sh", "-c", "cat /made /before; ls /usr/sbin; grep -c installed /var/lib/dpkg/status"])
    assert said.stdout.split() == ["configure", "0", "6"]
    with pytest.raises(StepFailed) as failure:
        make(packages=["failing", "dpkg"], configure=True)
    assert "it cannot be done" in failure.value.hint
    with pytest.raises(Unsupported, match="has no dpkg"):
        make(packages=["configured"], configure=True)


# what is asked for besides the usual, what is raised, what it says
REFUSALS: tuple[tuple[dict[str, Any], type[LabError], str], ...] = (
    ({"packages": ["nothing"]}, NotFound, "needs nothing, and no source has it"),
    ({"packages": ["tool", "bad"]}, Conflict, "exclude"),
    ({"variant": "whole"}, InvalidArgument, "--variant"),
    ({"architecture": "s390x"}, Unsupported, "s390x"),
    ({"architecture": "arm64"}, NotFound, "binary-arm64"),
    ({"mirror": "http://127.0.0.1:9/"}, Unavailable, "cannot be fetched"),
    ({"tag": "a@sha256:" + "0" * 64}, InvalidArgument, "digest"),
)


@pytest.mark.parametrize(("options", "kind", "message"), REFUSALS)
def test_what_cannot_be_is_refused_and_leaves_no_image(
    engine: Engine, make: Make, options: dict[str, Any], kind: type[LabError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        make(**options)
    assert engine.images.list(all=True) == []


def test_a_package_that_was_changed_on_the_mirror_never_lands(engine: Engine, make: Make, mirror: Repository) -> None:
    path = mirror.file_of("mawk")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DigestMismatch, match="mawk"):
        make()
    assert engine.images.list(all=True) == []
    assert engine.store.leftovers() == []


@pytest.mark.parametrize("program", verifiers())
def test_only_an_index_with_a_trusted_signature_is_taken(
    program: str, monkeypatch: pytest.MonkeyPatch, make: Make, mirror: Repository, place: Path
) -> None:
    signer, other = Signer(place / "gpg"), Signer(place / "other")
    try:
        mirror.publish(signer)
        assert make(verify=True, keyring=str(signer.keyring)).tags
        with pytest.raises(Denied, match="is not signed by a trusted key"):
            make(verify=True, keyring=str(other.keyring))
        signed = (mirror.dist / "InRelease").read_text()
        (mirror.dist / "InRelease").write_text(signed.replace("Origin: Debian", "Origin: Debiam"))
        with pytest.raises(Denied, match=r"a signature is bad|has been manipulated"):
            make(verify=True, keyring=str(signer.keyring))
    finally:
        signer.close()
        other.close()


def test_the_command_makes_the_same_image(engine: Engine, make: Make, uri: str, place: Path) -> None:
    words = [
        "bootstrap",
        "debian:bookworm",
        "--variant",
        "busybox",
        "--mirror",
        uri,
        "--no-verify",
        "--packages",
        "tool",
        "--arch",
        "amd64",
    ]
    said: list[bytes] = []
    image = execute(lambda: engine, understand([*words, "--lock", "lock"]), folder=place, on_output=lambda stream, data: said.append(data))
    assert image.id == make(packages=["tool"]).id
    assert (place / "lock").is_file()
    assert b"unpacked tool 1.0-1 amd64\n" in said
    with pytest.raises(InvalidArgument, match="--packages: an empty name"):
        execute(lambda: engine, understand([*words, "--packages", "a,,b"]), folder=place)
