"""What every test may ask for: an engine on a fresh store, the abilities of the host, and a machine left as it was found."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.lesson import remove_tree
from tests import leaks

if TYPE_CHECKING:
    from labcontainers import Engine

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
RUNS_AS_ROOT_TOO = "LABCONTAINERS_TESTS_ALSO_RUN_AS_ROOT" in os.environ
MEETS_THE_KERNEL = ("integration", "security")
TESTS = Path(__file__).resolve().parent
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def is_root() -> bool:
    return os.geteuid() == 0


def has_subordinate_ids() -> bool:
    """Whether newuidmap may give this user more ids than its own."""
    if is_root():
        return False
    try:
        names = {str(os.geteuid()), os.environ.get("USER", ""), *user_names()}
        lines = Path("/etc/subuid").read_text().splitlines()
    except OSError:
        return False
    return shutil.which("newuidmap") is not None and any(line.split(":")[0] in names for line in lines)


def user_names() -> set[str]:
    import pwd

    try:
        return {pwd.getpwuid(os.geteuid()).pw_name}
    except KeyError:
        return set()


def can_limit() -> bool:
    """Whether this user may make control groups: root on a writable hierarchy, or a delegated one."""
    own = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    unified = next((path for number, _, path in own if number == "0"), "/")
    if is_root():
        return any(os.access(f"/sys/fs/cgroup{part}", os.W_OK) for part in ("", "/memory", "/pids"))
    controllers = Path(f"/sys/fs/cgroup{unified}/cgroup.controllers")
    return controllers.exists() and bool(controllers.read_text().split()) and os.access(controllers.parent, os.W_OK)


def can_boot() -> bool:
    """Whether Debian's kernel can be had and booted under software emulation."""
    tools = ("qemu-system-x86_64", "apt-get", "dpkg-deb", "mke2fs", "busybox")
    return platform.machine() == "x86_64" and all(shutil.which(name, path=SYSTEM_PATH) for name in tools)


ABILITIES: dict[str, tuple[Callable[[], bool], str]] = {
    "root": (is_root, "needs root"),
    "ordinary user": (lambda: not is_root(), "needs an ordinary user"),
    "subids": (has_subordinate_ids, "needs subordinate ids: newuidmap and a line in /etc/subuid and /etc/subgid"),
    "single id": (lambda: not is_root() and not has_subordinate_ids(), "needs a user without subordinate ids"),
    "cgroups": (can_limit, "needs control groups that this user may write"),
    "network": (is_root, "needs root: only root may join a container to the host's network"),
    "chromium": (lambda: shutil.which("chromium") is not None, "needs chromium"),
    "busybox": (lambda: shutil.which("busybox") is not None, "needs busybox"),
    "x86_64": (lambda: platform.machine() == "x86_64", "needs an x86_64 machine"),
    "cgroups v1": (lambda: os.path.isdir("/sys/fs/cgroup/memory"), "needs control groups of version 1"),
    "virtual machine": (can_boot, "needs a virtual machine: qemu-system-x86_64, apt-get, mke2fs and a static busybox"),
}
# another run of the same tests has these, or another kind of machine: here they are no loss
OF_ANOTHER_USER = {"root", "ordinary user", "subids", "single id", "cgroups", "network", "cgroups v1"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, or skip with its reason, what this user or this machine cannot do."""
    left_out = []
    for item in items:
        for marker in item.iter_markers("needs"):
            missing = [name for name in marker.args if not ABILITIES[name][0]()]
            if missing and IN_CI and set(missing) <= OF_ANOTHER_USER:
                left_out.append(item)
                break
            for name in missing:
                item.add_marker(pytest.mark.skip(reason=ABILITIES[name][1]))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """In CI nothing is skipped: a skip there means that something was not installed, and fails."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not (RUNS_AS_ROOT_TOO and "root" in reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped, and in CI nothing is: {reason}"
    return report


def pytest_configure(config: pytest.Config) -> None:
    leaks.adopt_orphans()


@pytest.fixture
def place() -> Iterator[Path]:
    """A short private folder (socket addresses have 107 bytes), removed afterwards even where container ids own what is in it."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    yield folder
    remove_tree(folder)


@pytest.fixture
def make_engine(place: Path) -> Iterator[Callable[[], Engine]]:
    """Makes Engines that all use one fresh store; containers are removed, the store verified and the Engines closed afterwards."""
    from labcontainers import Engine

    engines: list[Engine] = []

    def make() -> Engine:
        engines.append(Engine(root=place / "s", run_root=place / "r"))
        return engines[-1]

    yield make
    complaints: list[str] = []
    for engine in [engine for engine in engines if not engine.closed]:
        try:
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            complaints += engine.store.verify()
        finally:
            engine.close()
    assert not complaints, "the store is not consistent: " + "; ".join(complaints)


@pytest.fixture
def engine(make_engine: Callable[[], Engine]) -> Engine:
    """An Engine on a fresh store, as root or as whoever runs the tests."""
    return make_engine()


@pytest.fixture(autouse=True)
def machine_left_as_found(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test that meets the kernel: no new mount, namespace, network link, cgroup, process, thread or descriptor."""
    folder = request.path.relative_to(TESTS).parts[0]
    if folder not in MEETS_THE_KERNEL:
        yield
        return
    except_for = [kind for marker in request.node.iter_markers("may_leak") for kind in marker.args]
    before = leaks.Traces.take()
    yield
    left = leaks.wait_until_nothing_is_left(before, except_for=except_for)
    leaks.end_processes(left)
    assert not left, "left behind:\n  " + "\n  ".join(left)
