"""Packages and a package mirror, made in pure Python: ar archives with tars, Packages, Release and InRelease files."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

MTIME = 1_600_000_000


@dataclass
class Deb:
    """One package. `files` by path: text is a file, a text that begins with "-> " a link, None a directory, (text, mode) a file."""

    name: str
    version: str = "1.0-1"
    architecture: str = "amd64"
    files: Mapping[str, str | tuple[str, int] | None] = field(default_factory=dict)
    control: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    # how its parts are compressed, and what their names end in
    compress: Callable[[bytes], bytes] = lzma.compress
    ending: str = ".xz"

    @property
    def fields(self) -> dict[str, str]:
        own = {"Package": self.name, "Version": self.version, "Architecture": self.architecture, "Maintainer": "Somebody <a@example.org>"}
        return {**own, **self.control, "Description": f"the package {self.name}"}

    @property
    def control_files(self) -> dict[str, tuple[str, int]]:
        return {name: (text, 0o755 if text.startswith("#!") else 0o644) for name, text in self.scripts.items()}

    def to_bytes(self) -> bytes:
        """The package's file, packed once however many mirrors have it."""
        what = (self.name, self.version, self.architecture, self.compress, *map(_items, (self.files, self.control, self.scripts)))
        if what not in _packed:
            _packed[what] = self._pack()
        return _packed[what]

    def _pack(self) -> bytes:
        control = tar({"control": paragraph(self.fields), **self.control_files})
        parts = {"control.tar": control, "data.tar": tar(self.files)}
        packed = {f"{name}{self.ending}": self.compress(data) for name, data in parts.items()}
        return ar({"debian-binary": b"2.0\n", **packed})


_packed: dict[Hashable, bytes] = {}


def _items(mapping: Mapping[str, Hashable]) -> Hashable:
    return tuple(mapping.items())


def paragraph(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def ar(members: Mapping[str, bytes]) -> bytes:
    found = b"!<arch>\n"
    for name, content in members.items():
        found += f"{name:<16}{MTIME:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return found


def tar(files: Mapping[str, str | tuple[str, int] | None]) -> bytes:
    """As dpkg-deb makes it: names begin with ./, and every directory has an entry before what is in it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        folders = {"."}
        _add(archive, ".", tarfile.DIRTYPE, 0o755)
        for path, what in files.items():
            parts = path.strip("/").split("/")
            for count in range(1, len(parts) + (what is None)):
                folder = "./" + "/".join(parts[:count])
                if folder not in folders:
                    folders.add(folder)
                    _add(archive, folder, tarfile.DIRTYPE, 0o755)
            text, mode = what if isinstance(what, tuple) else (what, 0o644)
            if text is not None and text.startswith("-> "):
                _add(archive, "./" + path, tarfile.SYMTYPE, 0o777, link=text[3:])
            elif text is not None:
                _add(archive, "./" + path, tarfile.REGTYPE, mode, text.encode("latin-1"))
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime, info.linkname = kind, mode, len(content), MTIME, link
    archive.addfile(info, io.BytesIO(content))


class Repository:
    """A mirror below `root` with one suite, whose packages are all in its first component; publish() writes its indexes anew."""

    def __init__(self, root: Path, suite: str = "bookworm") -> None:
        self.root = root
        self.suite = suite
        self.debs: list[Deb] = []
        self.extra: dict[str, str] = {}
        self.origin = "Debian"
        self.components: tuple[str, ...] = ("main",)
        # how the Packages file is compressed, by its endings
        self.forms: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".xz": lzma.compress, ".gz": partial(gzip.compress, mtime=0)}

    def add(self, *debs: Deb) -> None:
        self.debs += debs

    @property
    def dist(self) -> Path:
        return self.root / "dists" / self.suite

    def file_of(self, name: str) -> Path:
        return next((self.root / "pool").glob(f"{name}_*.deb"))

    def publish(self, sign: Signer | None = None, architecture: str = "amd64") -> None:
        (self.root / "pool").mkdir(parents=True, exist_ok=True)
        texts = []
        for deb in self.debs:
            data = deb.to_bytes()
            place = f"pool/{deb.name}_{deb.version.replace(':', '%3a')}_{deb.architecture}.deb"
            (self.root / place).write_bytes(data)
            fields = {**deb.fields, "Filename": place, "Size": str(len(data)), "SHA256": hashlib.sha256(data).hexdigest()}
            texts.append(paragraph(fields))
        lines = []
        for component in self.components:
            found = texts if component == self.components[0] else []
            lines += self._write_index(f"{component}/binary-{architecture}/Packages", "\n".join(found).encode())
        fields = {"Origin": self.origin, "Codename": self.suite, "Acquire-By-Hash": "yes", **self.extra}
        release = paragraph(fields) + "SHA256:\n" + "\n".join(lines) + "\n"
        (self.dist / "Release").write_text(release)
        if sign is not None:
            (self.dist / "InRelease").write_text(sign.clear_sign(release))

    def _write_index(self, name: str, plain: bytes) -> list[str]:
        """The index in all its forms; the lines of the Release file that tell of it."""
        folder = (self.dist / name).parent
        (folder / "by-hash/SHA256").mkdir(parents=True, exist_ok=True)
        lines = [f" {hashlib.sha256(plain).hexdigest()} {len(plain)} {name}"]
        for ending, compress in self.forms.items():
            data = compress(plain)
            digest = hashlib.sha256(data).hexdigest()
            for place in (f"Packages{ending}", f"by-hash/SHA256/{digest}"):
                (folder / place).write_bytes(data)
            lines += [f" {digest} {len(data)} {name}{ending}"] if ending else []
        return lines


class Signer:
    """A key of this test's own, by the host's gpg."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._home = home
        self._gpg("--quick-gen-key", "test@example.org", "ed25519", "sign", "never")
        self.keyring = home / "keyring.gpg"
        self.keyring.write_bytes(self._gpg("--export"))
        self.armored = self._gpg("--export", "--armor").decode()

    def _gpg(self, *arguments: str, given: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback", *arguments]
        return subprocess.run(command, input=given, capture_output=True, check=True, timeout=60).stdout

    def clear_sign(self, text: str) -> str:
        return self._gpg("--clear-sign", given=text.encode()).decode()

    def close(self) -> None:
        """End gpg's agent."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=True, timeout=60)


def verifiers() -> list[str]:
    """The programs of this host by which a signature can be verified, where one can be made."""
    can_sign = all(shutil.which(name) for name in ("gpg", "gpgconf"))
    return [name for name in ("gpgv", "sqv") if can_sign and shutil.which(name)]
