"""What every test may ask for: an engine on a fresh store, the abilities of the host, and a machine left as it was found."""

from __future__ import annotations

import gc
import os
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.trees import remove_tree
from tests import leaks
from tests.engines import put_in_order

if TYPE_CHECKING:
    from labcontainers import Engine

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
RUNS_AS_ROOT_TOO = "LABCONTAINERS_TESTS_ALSO_RUN_AS_ROOT" in os.environ
# for whom a test comes out alike, if another run of the same tests tells it for all of them
TOLD_BY_OTHERS = {
    *(["every user"] if RUNS_AS_ROOT_TOO else []),
    *(["ordinary users"] if "LABCONTAINERS_TESTS_ALSO_RUN_WITH_A_SINGLE_ID" in os.environ else []),
}
MEETS_THE_KERNEL = ("integration", "security", "notebooks")
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


def folder_on_disk() -> str:
    """Where the files of tests lie that are about a disk: temporary files may be in memory, which is faster."""
    return os.environ.get("LABCONTAINERS_TESTS_DISK") or tempfile.gettempdir()


def has_disk() -> bool:
    """Whether it is really on one, where writing is counted."""
    folder = os.stat(folder_on_disk()).st_dev
    return os.path.exists(f"/sys/dev/block/{os.major(folder)}:{os.minor(folder)}")


def lacks_a_capability() -> bool:
    """Whether root may do less here than elsewhere, as in most containers."""
    from labcontainers.kernel import capabilities

    return bool(capabilities.of_this_kernel() - capabilities.of_this_process())


def has_ids_for_others() -> bool:
    """Whether root can give subordinate ids to somebody else, and show files in memory with them."""
    release = tuple(map(int, platform.release().split("-")[0].split(".")[:2]))
    return is_root() and release >= (6, 6) and shutil.which("newuidmap") is not None


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
    "node": (lambda: shutil.which("node") is not None, "needs node"),
    "git": (lambda: shutil.which("git") is not None, "needs git"),
    "gcc": (lambda: all(shutil.which(name) for name in ("gcc", "make")), "needs gcc and make"),
    "apt": (lambda: all(shutil.which(name) for name in ("apt-get", "dpkg")), "needs apt and dpkg, as Debian has them"),
    "sshd": (lambda: shutil.which("sshd", path=SYSTEM_PATH) is not None, "needs Debian's openssh-server"),
    "a name": (lambda: bool(user_names()), "needs a user with a line in /etc/passwd, without whom ssh(1) does not run"),
    "busybox": (lambda: shutil.which("busybox") is not None, "needs busybox"),
    "skopeo": (lambda: shutil.which("skopeo") is not None, "needs skopeo"),
    "podman": (lambda: shutil.which("podman") is not None, "needs podman"),
    "crun": (lambda: shutil.which("crun", path=SYSTEM_PATH) is not None, "needs crun"),
    "buildah": (lambda: shutil.which("buildah") is not None, "needs buildah"),
    "crane": (lambda: shutil.which("crane") is not None, "needs crane, which Debian has since trixie"),
    "oras": (lambda: shutil.which("oras") is not None, "needs oras, which Debian has since trixie"),
    "umoci": (lambda: shutil.which("umoci") is not None, "needs umoci"),
    "a Docker": (lambda: "DOCKER_HOST" in os.environ, "needs a Docker in DOCKER_HOST that the tests may use"),
    "docker-registry": (lambda: shutil.which("docker-registry", path=SYSTEM_PATH) is not None, "needs Debian's docker-registry"),
    "x86_64": (lambda: platform.machine() == "x86_64", "needs an x86_64 machine"),
    "ids for others": (has_ids_for_others, "needs root, newuidmap, and Linux 6.6 for idmapped mounts of files in memory"),
    "disk": (has_disk, "needs LABCONTAINERS_TESTS_DISK or temporary files on a block device"),
    "a capability less": (lacks_a_capability, "needs a process that lacks a capability"),
    "no AppArmor": (lambda: not os.path.exists("/sys/module/apparmor/parameters/enabled"), "needs a host without AppArmor"),
    "cgroups v1": (lambda: os.path.isdir("/sys/fs/cgroup/memory"), "needs control groups of version 1"),
    "virtual machine": (can_boot, "needs a virtual machine: qemu-system-x86_64, apt-get, mke2fs and a static busybox"),
}
# another run of the same tests has these, or another kind of machine: here they are no loss
OF_ANOTHER_USER = {
    "root", "ordinary user", "subids", "single id", "cgroups", "network", "cgroups v1", "disk", "x86_64", "a capability less",
    "no AppArmor", "a Docker", "crane", "oras", "node", "a name", "ids for others",
}  # fmt: skip
# what the run of the user with a single id lacks, who has no name
NOT_WITH_A_SINGLE_ID = {"subids", "a name"}


def _told_by_others(item: pytest.Item) -> bool:
    """Whether another run has this test, and it comes out the same there."""
    needs = {name for marker in item.iter_markers("needs") for name in marker.args}
    alike = {users for marker in item.iter_markers("alike") for users in marker.args}
    return bool(alike & TOLD_BY_OTHERS) and not needs & NOT_WITH_A_SINGLE_ID


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, or skip with its reason, what this user or this machine cannot do; and leave out what another run tells."""
    left_out = [item for item in items if _told_by_others(item)]
    for item in items:
        for marker in item.iter_markers("needs"):
            missing = [name for name in marker.args if not ABILITIES[name][0]()]
            if IN_CI and OF_ANOTHER_USER & set(missing):
                left_out.append(item)
                break
            for name in missing:
                item.add_marker(pytest.mark.skip(reason=ABILITIES[name][1]))
    if left_out:
        out = set(left_out)
        config.hook.pytest_deselected(items=[item for item in items if item in out])
        items[:] = [item for item in items if item not in out]


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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Whoever asks for it gets the tests that failed in a file, a line each, which pytest takes as `@FILE`."""
    if path := os.environ.get("LABCONTAINERS_TESTS_FAILED"):
        reports = (*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ()))
        names = [report.nodeid for report in reports]
        functions = Counter(name.partition("[")[0] for name in dict.fromkeys(names))
        # what failed with many values, or for want of what all of them share, is one test
        short = (name if functions[name.partition("[")[0]] < 3 else name.partition("[")[0] for name in names)
        Path(path).write_text("".join(f"{name}\n" for name in dict.fromkeys(short)))


def pytest_configure(config: pytest.Config) -> None:
    leaks.adopt_orphans()
    # no test asks a registry on the internet for what is not there
    os.environ["LABCONTAINERS_PULL"] = "never"


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there now stays to the end, so whoever looks for leaks need not go through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A short private folder (socket addresses have 107 bytes), removed afterwards even where container ids own what is in it.

    It is on a disk for tests that need one, and for those marked `on_disk`, which are as good in memory.
    """
    needs = {name for marker in request.node.iter_markers("needs") for name in marker.args}
    disk = "disk" in needs or request.node.get_closest_marker("on_disk") is not None
    folder = Path(tempfile.mkdtemp(prefix="lab-", dir=folder_on_disk() if disk else None))
    yield folder
    remove_tree(folder)


@pytest.fixture
def settings_of_nobody(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings nor the credentials of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(place / "docker"))
    (place / "auth.json").write_text("{}")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(place / "auth.json"))


@pytest.fixture(scope="session")
def store_with_base() -> Iterator[Path]:
    """A store that holds lab/base and nothing else, to be copied: that takes a hundredth of the time of making the image."""
    from labcontainers import Engine

    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    with Engine(root=folder / "s", run_root=folder / "r") as engine:
        engine.images.get("lab/base")
    yield folder / "s"
    remove_tree(folder)


@pytest.fixture
def make_engine(place: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Engine]]:
    """Makes Engines that all use one store with lab/base in it, or an empty one for tests marked `empty_store`.

    Containers are removed, the store verified and the Engines closed afterwards.
    """
    from labcontainers import Engine

    if request.node.get_closest_marker("empty_store") is None:
        shutil.copytree(request.getfixturevalue("store_with_base"), place / "s", symlinks=True)
    with put_in_order(lambda engine: engine.store.verify()) as engines:

        def make() -> Engine:
            engines.append(Engine(root=place / "s", run_root=place / "r"))
            return engines[-1]

        yield make


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
