"""A virtual machine under software emulation: one disk, one program as its process 1, and what that writes as lines of JSON.

It must not know what the program does. Its first root is in memory and holds a busybox and what it takes to reach the disk.
"""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

QEMU = "qemu-system-x86_64"
MEMORY_MB = 1024
_INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod $module || echo "cannot load $module"; done
/bin/busybox mount -t ext4 /dev/vda /disk && /bin/busybox mount -o move /dev /disk/dev
exec /bin/busybox switch_root /disk {program}
"""


class MachineFailed(Exception):
    """The machine did not run to its end; the text is what its console showed."""


def run(kernel: Path, busybox: Path, modules: Iterable[Path], disk: Path, program: str, patience_s: float) -> Iterator[dict[str, Any]]:
    """Boot, run `program` of the disk as process 1 until it switches the machine off, and yield what it wrote to /dev/ttyS1.

    A machine that writes no line for `patience_s` is ended: how long it takes in all depends on what else this host does.
    `modules` are those that the disk needs. Files are written beside the disk. Raises MachineFailed.
    """
    first_root, console, lines = (disk.with_suffix(suffix) for suffix in (".cpio", ".console", ".lines"))
    write_first_root(first_root, busybox, list(modules), program)
    arguments = [
        *(QEMU, "-accel", "tcg,thread=multi", "-smp", "2", "-m", str(MEMORY_MB), "-cpu", "max"),
        *("-nodefaults", "-display", "none", "-no-reboot"),
        *("-kernel", str(kernel), "-initrd", str(first_root), "-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-serial", f"file:{console}", "-serial", f"file:{lines}"),
        *("-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"),
    ]  # fmt: skip
    said = ended(arguments, lines, patience_s)
    written = lines.read_text(errors="replace").splitlines() if lines.exists() else []
    if not written or "end" not in written[-1]:
        shown = console.read_text(errors="replace")[-4000:] if console.exists() else ""
        raise MachineFailed("\n".join([said, *written[-3:], shown]))
    yield from map(json.loads, written)


def ended(arguments: list[str], lines: Path, patience_s: float) -> str:
    """What the emulator said when it ended, or that it was ended because `lines` had not grown for `patience_s`."""
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            while True:
                size = lines.stat().st_size if lines.exists() else 0
                try:
                    return process.communicate(timeout=patience_s)[1]
                except subprocess.TimeoutExpired:
                    if lines.exists() and lines.stat().st_size > size:
                        continue
                    return f"it wrote nothing for {patience_s:.0f} s"
        finally:
            process.kill()


def write_first_root(path: Path, busybox: Path, modules: list[Path], program: str) -> None:
    """The root in memory, as an archive that the kernel unpacks (Linux Documentation, buffer-format of the initramfs)."""
    with open(path, "wb") as archive:
        for folder in ("bin", "dev", "disk", "modules"):
            archive.write(entry(folder, stat.S_IFDIR | 0o755, b""))
        archive.write(entry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
        for index, module in enumerate(modules):
            archive.write(entry(f"modules/{index:02}-{module.name}", stat.S_IFREG | 0o644, module.read_bytes()))
        archive.write(entry("init", stat.S_IFREG | 0o755, _INIT.format(program=program).encode()))
        archive.write(entry("TRAILER!!!", 0, b""))


def entry(name: str, mode: int, data: bytes) -> bytes:
    """One entry of a cpio archive of the form "newc": cpio(5)."""
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4)


def make_disk(path: Path, tree: Path, size_mb: int) -> None:
    """An ext4 file system at `path` that holds what is in `tree`. Raises CalledProcessError."""
    tool = shutil.which("mke2fs", path="/sbin:/usr/sbin:/bin:/usr/bin")
    subprocess.run([str(tool), "-q", "-t", "ext4", "-d", str(tree), str(path), f"{size_mb}M"], check=True, capture_output=True, text=True)
