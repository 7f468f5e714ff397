"""A host that has version 2 of control groups alone, and an older kernel than most: Debian's own, in a virtual machine.

Root, a user with subordinate ids and a delegated group, and a user with neither run the same checks in it (checks.py), and the OCI
runtime command as the first two (oci_checks.py), under an emulation that is about twenty times slower than the machine: no check is
about time.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.images.bases import find_static_busybox
from tests.vm import checks, debian_kernel, first_process, machine, oci_checks, system

pytestmark = [pytest.mark.needs("x86_64", "virtual machine"), pytest.mark.timeout(2400)]

MODULES = ("virtio_pci", "virtio_blk", "overlay", "veth", "bridge", "tun", "nft_masq", "nft_chain_nat")
PROGRAM = "/usr/local/bin/python3 /lab/first_process.py"
DISK_MB = 600
PATIENCE_S = 300
ENGINES = [(who, name) for who in first_process.USERS if not who.startswith("oci-") for name in checks.checks_for(who)]
CASES = [*ENGINES, *((who, check.__name__) for who in oci_checks.PATHS for check in oci_checks.CHECKS)]

Found = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def found() -> Iterator[Found]:
    """(user, check) -> what went wrong, or "", after one run of the machine."""
    busybox = find_static_busybox()
    if busybox is None:
        pytest.skip("needs a static busybox")
    with tempfile.TemporaryDirectory(prefix="lab-vm-") as text:
        work = Path(text)
        try:
            kernel = debian_kernel.fetch(work)
        except (subprocess.CalledProcessError, LookupError) as error:
            pytest.skip(f"no kernel of Debian: {getattr(error, 'stderr', '') or error}")
        (work / "tree").mkdir()
        system.make_tree(work / "tree", work / "s", Path(busybox))
        machine.make_disk(work / "disk.img", work / "tree", DISK_MB)
        lines = machine.run(kernel.image, Path(busybox), kernel.modules(*MODULES), work / "disk.img", PROGRAM, PATIENCE_S)
        yield {(line["who"], line["check"]): line["error"] for line in lines if "check" in line}


@pytest.mark.parametrize(("who", "check"), CASES, ids=[f"{who}-{name}" for who, name in CASES])
def test_on_a_pure_version_2(found: Found, who: str, check: str) -> None:
    whole = [f"{user}, {name}: {error}" for (user, name), error in found.items() if (user, name) not in CASES and error]
    assert (who, check) in found, "it was not reached: " + "\n".join(whole)
    assert found[who, check] == "", found[who, check]
