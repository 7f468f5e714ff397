"""Images of programs of this machine, with the libraries that they need, for steps that run what real Dockerfiles run."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence

from labcontainers import Engine

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LIBRARY = re.compile(r"(/\S+) \(0x")
# what the C library loads by name: users and hosts, and the end of threads
_LOADED_LATER = ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class HostTree:
    """Files of this machine in an archive, at their own places, with the links on the way."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._taken: set[str] = set()
        for path in ("/dev", "/proc", "/sys", "/root", "/run", "/etc", "/usr/bin", "/usr/sbin", "/var", "/bin", "/sbin", "/lib", "/lib64"):
            if os.path.lexists(path):
                self.path(path)
        for path in ("tmp", "var/tmp"):
            self._directory(path, 0o1777)

    def path(self, path: str) -> str:
        """Take a file, folder or link, and whatever a link on the way leads to; what it is in the end."""
        place = ""
        parts = [part for part in path.split("/") if part]
        for number, part in enumerate(parts):
            place = f"{place}/{part}"
            if os.path.islink(place):
                self._link(place)
                target = os.path.normpath(os.path.join(os.path.dirname(place), os.readlink(place)))
                return self.path("/".join([target, *parts[number + 1 :]]))
            if os.path.isdir(place):
                self._directory(place[1:], 0o755)
            elif place not in self._taken and os.access(place, os.R_OK) and os.path.isfile(place):
                self._taken.add(place)
                info = tarfile.TarInfo(place[1:])
                info.mode, info.size = os.stat(place).st_mode & 0o777, os.path.getsize(place)
                with open(place, "rb") as file:
                    self._archive.addfile(info, file)
        return place

    def program(self, name: str) -> None:
        """A program by its name or its path, with its libraries."""
        found = shutil.which(name, path=PATH)
        assert found is not None, f"this machine has no {name}"
        self.libraries([self.path(found)])

    def libraries(self, programs: Iterable[str]) -> None:
        """What these programs and libraries need; what is neither needs nothing."""
        for program in programs:
            said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
            for library in _LIBRARY.findall(said):
                place = self.path(library)
                for name in _LOADED_LATER:
                    if os.path.exists(later := os.path.join(os.path.dirname(place), name)):
                        self.path(later)

    def folder(self, top: str, leave_out: Sequence[str] = ()) -> None:
        """All that is in a folder, but what is in folders of these names."""
        for place, folders, files in os.walk(top):
            folders[:] = [name for name in folders if name not in leave_out]
            for name in [*folders, *files]:
                self.path(os.path.join(place, name))

    def package(self, name: str, leave_out: Sequence[str] = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale")) -> None:
        """All files of one of Debian's packages but its documents, with the libraries that its programs need."""
        files = subprocess.run(["dpkg", "-L", name], capture_output=True, text=True, check=True).stdout.splitlines()
        taken = [self.path(file) for file in files if file != "/." and not file.startswith(tuple(leave_out))]
        self.libraries(file for file in taken if os.path.isfile(file) and _is_program(file))

    def text(self, path: str, text: str) -> None:
        parts = path.split("/")
        for count in range(1, len(parts)):
            self._directory("/".join(parts[:count]), 0o755)
        info = tarfile.TarInfo(path)
        info.size, info.mode = len(text.encode()), 0o755 if text.startswith("#!") else 0o644
        self._archive.addfile(info, io.BytesIO(text.encode()))

    def _link(self, place: str) -> None:
        if place not in self._taken:
            self._taken.add(place)
            info = tarfile.TarInfo(place[1:])
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(place)
            self._archive.addfile(info)

    def _directory(self, path: str, mode: int) -> None:
        if path not in self._taken:
            self._taken.add(path)
            info = tarfile.TarInfo(path)
            info.type, info.mode = tarfile.DIRTYPE, mode
            self._archive.addfile(info)


def import_programs(
    engine: Engine,
    name: str,
    programs: Sequence[str] = (),
    packages: Sequence[str] = (),
    folders: Sequence[str] = (),
    files: Sequence[str] = (),
    texts: Mapping[str, str] | None = None,
) -> None:
    """An image `name` of programs, packages, folders and files of this machine, and of texts by their paths, `#!` ones as programs."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            tree = HostTree(archive)
            for path, text in {**_TEXTS, **(texts or {})}.items():
                tree.text(path, text)
            for program in programs:
                tree.program(program)
            for package in packages:
                tree.package(package)
            for folder in folders:
                tree.folder(folder, leave_out=("__pycache__",))
            tree.libraries([tree.path(file) for file in files])
        file.flush()
        engine.images.import_image(file.name, name, changes=f"ENV PATH={PATH}")


def _is_program(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False
