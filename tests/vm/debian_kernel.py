"""Debian's own kernel, unpacked from its package and not installed: the image to boot and the modules that are asked for.

It must not know what is run on it.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

META_PACKAGE = "linux-image-cloud-amd64"


@dataclass(frozen=True, slots=True)
class DebianKernel:
    """A kernel below `root`, the folder that its package was unpacked into."""

    root: Path

    @property
    def image(self) -> Path:
        """The file that is booted."""
        return next((self.root / "boot").glob("vmlinuz-*"))

    def modules(self, *names: str) -> list[Path]:
        """The modules of these names with all that they depend on, in the order in which they can be loaded."""
        files = {path.stem.replace("-", "_"): path for path in (self.root / "lib/modules").rglob("*.ko")}
        ordered: dict[str, Path] = {}

        def add(name: str) -> None:
            if name in files and name not in ordered:
                for needed in dependencies(files[name]):
                    add(needed)
                ordered[name] = files[name]

        for name in names:
            add(name)
        return list(ordered.values())


def dependencies(module: Path) -> list[str]:
    """What a module says in its .modinfo section that it needs, softly or not."""
    text = module.read_bytes()
    hard = re.search(rb"\0depends=([^\0]*)\0", text)
    soft = re.findall(rb"\0softdep=pre: ([^\0]*)\0", text)
    words = [*(hard.group(1).decode().split(",") if hard else []), *(word for line in soft for word in line.decode().split())]
    return [word.replace("-", "_") for word in words if word]


def fetch(folder: Path) -> DebianKernel:
    """Download and unpack the newest cloud kernel of this Debian; about 27 MB. Raises CalledProcessError, LookupError or OSError."""
    listed = subprocess.run(["apt-cache", "depends", META_PACKAGE], capture_output=True, text=True, check=True).stdout
    package = next((line.split()[-1] for line in listed.splitlines() if "Depends: linux-image-" in line), None)
    if package is None:
        raise LookupError(f"apt knows no package {META_PACKAGE}")
    subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True, capture_output=True, text=True)
    archive = next(folder.glob(f"{package}_*.deb"))
    subprocess.run(["dpkg-deb", "--extract", str(archive), str(folder / "unpacked")], check=True, capture_output=True, text=True)
    archive.unlink()
    return DebianKernel(folder / "unpacked")
