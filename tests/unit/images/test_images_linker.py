"""Where libraries are looked for and what a program needs, over small roots of ELF files made by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from labcontainers.images import linker
from tests.fakes.elf_file import AARCH64, elf_file, put

LOADER = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"


def cache(*paths: str, magic: bytes = b"glibc-ld.so.cache1.1", old: bytes = b"") -> bytes:
    """An ld.so.cache of these libraries, behind one of the old form if wanted."""
    at = 48 + 24 * len(paths)
    entries, strings = b"", b""
    for path in paths:
        name = path.rpartition("/")[2].encode() + b"\0"
        entries += struct.pack("<iIIIQ", 0x303, at + len(strings), at + len(strings) + len(name), 0, 0)
        strings += name + path.encode() + b"\0"
    return old + magic + struct.pack("<II", len(paths), len(strings)) + bytes(20) + entries + strings


def root_with(tmp_path: Path, *directories: str, **files: bytes) -> Path:
    for directory in directories:
        (tmp_path / directory).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        put(tmp_path / "etc" / name.replace("__", "/").replace("_", "."), content)
    return tmp_path


class TestLibraryDirectories:
    def test_the_standard_ones_that_are_there_come_last(self, tmp_path: Path) -> None:
        root = root_with(tmp_path, "lib", "usr/lib", "opt/a", ld_so_conf=b"/opt/a\n")
        assert linker.library_directories(root) == ("/opt/a", "/lib", "/usr/lib")

    def test_includes_comments_and_old_keywords_of_the_configuration(self, tmp_path: Path) -> None:
        root = root_with(
            tmp_path,
            *("opt/a", "opt/b", "opt/c"),
            ld_so_conf=b"# first\ninclude ld.so.conf.d/*.conf\n/opt/a # mine\nhwcap 1 nosegneg\n",
            ld_so_conf_d__b_conf=b"/opt/b\n",
            ld_so_conf_d__c_conf=b"/opt/c/\n\n/opt/absent\nrelative\n",
        )
        assert linker.library_directories(root) == ("/opt/b", "/opt/c", "/opt/a")

    def test_a_configuration_that_includes_itself_ends(self, tmp_path: Path) -> None:
        assert linker.library_directories(root_with(tmp_path, "opt/a", ld_so_conf=b"/opt/a\ninclude ld.so.conf\n")) == ("/opt/a",)

    def test_musls_path_file_separates_by_lines_and_colons(self, tmp_path: Path) -> None:
        root = root_with(tmp_path, "opt/a", "opt/b", "opt/c")
        put(root / "etc/ld-musl-x86_64.path", b"/opt/a:/opt/b\n/opt/c\n")
        assert linker.library_directories(root) == ("/opt/a", "/opt/b", "/opt/c")

    def test_the_library_path_of_the_environment_comes_first_and_only_where_it_is_absolute(self, tmp_path: Path) -> None:
        root = root_with(tmp_path, "lib", "opt/a", "opt/b", "relative")
        assert linker.library_directories(root, ":/opt/b:relative;/opt/a") == ("/opt/b", "/opt/a", "/lib")

    @pytest.mark.parametrize("old", [b"", b"ld.so-1.7.0\0" + bytes(36)], ids=["new", "behind the old form"])
    def test_the_cache_tells_directories_that_no_configuration_names(self, tmp_path: Path, old: bytes) -> None:
        root = root_with(tmp_path, "opt/a", "opt/b", ld_so_cache=cache("/opt/b/libx.so.1", "/opt/a/liby.so", "/opt/b/libz.so", old=old))
        assert linker.library_directories(root) == ("/opt/b", "/opt/a")

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"something else",
            cache("/opt/a/libx.so", magic=b"glibc-ld.so.cache9.9"),
            cache("/opt/a/libx.so")[:60],
            cache("/opt/a/libx.so")[:-1],
            b"glibc-ld.so.cache1.1" + b"\xff" * 200,
        ],
    )
    def test_a_broken_cache_is_as_none(self, tmp_path: Path, content: bytes) -> None:
        assert linker.library_directories(root_with(tmp_path, "opt/a", "lib", ld_so_cache=content)) == ("/lib",)


class TestDependencies:
    """Paths in these tests are absolute ones below tmp_path, which no linker knows without being told."""

    def test_are_followed_in_all_depths_and_told_once(self, tmp_path: Path) -> None:
        program = put(tmp_path / "bin/p", elf_file(needed=("liba.so", "libc.so.6")))
        for name, needed in (("liba.so", ("libb.so",)), ("libb.so", ("liba.so", "libc.so.6")), ("libc.so.6", ())):
            put(tmp_path / "lib" / name, elf_file(needed=needed))
        found = linker.dependencies([program], [str(tmp_path / "lib")])
        assert found.files == {f"/usr/lib/{name}": f"{tmp_path}/lib/{name}" for name in ("liba.so", "libb.so", "libc.so.6")}
        assert found.missing == ()

    def test_that_are_not_there_are_named(self, tmp_path: Path) -> None:
        program = put(tmp_path / "p", elf_file(interpreter="/no/such/ld.so", needed=("libno.so", "liba.so")))
        put(tmp_path / "liba.so", elf_file(needed=("libneither.so",)))
        found = linker.dependencies([program], [str(tmp_path)])
        assert found.missing == ("/no/such/ld.so", "libneither.so", "libno.so")
        assert list(found.files.values()) == [f"{tmp_path}/liba.so"]

    def test_of_another_machine_are_passed_over(self, tmp_path: Path) -> None:
        program = put(tmp_path / "p", elf_file(needed=("liba.so",)))
        put(tmp_path / "one/liba.so", elf_file(machine=AARCH64))
        put(tmp_path / "two/liba.so", b"GROUP ( libreal.so )")
        put(tmp_path / "three/liba.so", elf_file())
        found = linker.dependencies([program], [f"{tmp_path}/{name}" for name in ("one", "two", "three")])
        assert found.files == {"/usr/lib/liba.so": f"{tmp_path}/three/liba.so"}

    def test_by_an_absolute_runpath_keep_their_path(self, tmp_path: Path) -> None:
        program = put(tmp_path / "p", elf_file(needed=("liba.so",), runpath=f"{tmp_path}/own"))
        put(tmp_path / "own/liba.so", elf_file())
        put(tmp_path / "lib/liba.so", elf_file())
        assert linker.dependencies([program], [f"{tmp_path}/lib"]).files == {f"{tmp_path}/own/liba.so": f"{tmp_path}/own/liba.so"}

    @pytest.mark.parametrize("origin", ["$ORIGIN", "${ORIGIN}"])
    def test_by_origin_go_where_the_linker_looks_since_the_program_moves(self, tmp_path: Path, origin: str) -> None:
        program = put(tmp_path / "bin/p", elf_file(needed=("liba.so",), rpath=f"{origin}/../lib"))
        put(tmp_path / "lib/liba.so", elf_file())
        assert linker.dependencies([program], []).files == {"/usr/lib/liba.so": f"{tmp_path}/lib/liba.so"}

    def test_origin_is_where_the_file_is_and_not_the_link_to_it(self, tmp_path: Path) -> None:
        put(tmp_path / "real/bin/p", elf_file(needed=("liba.so",), runpath="$ORIGIN/../lib"))
        put(tmp_path / "real/lib/liba.so", elf_file())
        (tmp_path / "p").symlink_to("real/bin/p")
        assert linker.dependencies([str(tmp_path / "p")], []).files == {"/usr/lib/liba.so": f"{tmp_path}/real/lib/liba.so"}

    def test_inherit_rpath_but_no_runpath(self, tmp_path: Path) -> None:
        put(tmp_path / "own/liba.so", elf_file(needed=("libb.so",)))
        put(tmp_path / "own/libb.so", elf_file())
        for name, inherited in (("rpath", True), ("runpath", False)):
            program = put(tmp_path / name, elf_file(needed=("liba.so",), **{name: f"{tmp_path}/own"}))
            assert (linker.dependencies([program], []).missing == ()) is inherited

    @pytest.mark.parametrize("runpath", ["", "lib", "./lib", "$LIB", "$ORIGIN_NOT/lib"])
    def test_are_never_looked_for_where_the_caller_happens_to_be(
        self, tmp_path: Path, runpath: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for folder in ("", "lib/", "$LIB/"):
            put(tmp_path / f"{folder}liba.so", elf_file())
        program = put(tmp_path / "p", elf_file(needed=("liba.so", "lib/liba.so", "./liba.so"), runpath=runpath))
        found = linker.dependencies([program], [])
        assert (found.files, found.missing) == ({}, ("./liba.so", "lib/liba.so", "liba.so"))

    def test_by_their_whole_path_keep_it_unless_it_leads_up(self, tmp_path: Path) -> None:
        plain, leading_up = f"{tmp_path}/x/liba.so", f"{tmp_path}/x/../x/liba.so"
        put(tmp_path / "x/liba.so", elf_file())
        found = linker.dependencies([put(tmp_path / "p", elf_file(needed=(plain, leading_up)))], [])
        assert (found.files, found.missing) == ({plain: plain}, (leading_up,))

    def test_of_musl_are_its_interpreter(self, tmp_path: Path) -> None:
        program = put(
            tmp_path / "p", elf_file(interpreter=MUSL, needed=("libc.musl-x86_64.so.1", "libc.so", "libpthread.so.0", "libz.so.1"))
        )
        put(tmp_path / "lib/libz.so.1", elf_file(needed=("libc.musl-x86_64.so.1",)))
        found = linker.dependencies([program], [f"{tmp_path}/lib"])
        assert found.files == {"/lib/libz.so.1": f"{tmp_path}/lib/libz.so.1", **({MUSL: MUSL} if Path(MUSL).exists() else {})}
        assert found.missing == (() if Path(MUSL).exists() else (MUSL,))

    def test_that_are_loaded_later_come_too_as_far_as_they_are_there(self, tmp_path: Path) -> None:
        program = put(tmp_path / "p", elf_file(interpreter="/no/ld.so"))
        put(tmp_path / "lib/libgcc_s.so.1", elf_file(needed=("libc.so.6",)))
        put(tmp_path / "lib/libc.so.6", elf_file())
        found = linker.dependencies([program], [f"{tmp_path}/lib"], also=("libgcc_s.so.1", "libnss_none.so.2"))
        assert sorted(found.files) == ["/usr/lib/libc.so.6", "/usr/lib/libgcc_s.so.1"]
        assert found.missing == ("/no/ld.so",)

    def test_of_what_is_no_program_are_none(self, tmp_path: Path) -> None:
        script = put(tmp_path / "script", b"#!/bin/sh\n")
        assert linker.dependencies([script, str(tmp_path / "absent")], [str(tmp_path)]) == linker.Libraries({}, ())

    def test_that_form_a_long_chain_end(self, tmp_path: Path) -> None:
        for index in range(2000):
            put(tmp_path / f"lib{index}.so", elf_file(needed=(f"lib{index + 1}.so", "lib0.so")))
        found = linker.dependencies([str(tmp_path / "lib0.so")], [str(tmp_path)])
        assert len(found.files) == 2000
        assert found.missing == ("lib2000.so",)
