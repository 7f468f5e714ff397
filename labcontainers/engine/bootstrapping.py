"""Images of packages: what a user asks for as a request, and maintainer scripts run as the steps of builds are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from labcontainers.build.steps import OutputTail, RunRequest
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options.flags import about
from labcontainers.engine.step_runner import RuntimeStepRunner
from labcontainers.images.catalog import Catalog
from labcontainers.images.debs.bootstrap import Bootstrap, BootstrapRequest
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.reference import new_name
from labcontainers.store.layout import Store


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _nothing(line: str) -> None:
    """For who does not listen."""


def bootstrap(
    store: Store,
    catalog: Catalog,
    lifecycle: Lifecycle,
    distribution: str,
    *,
    packages: str | Sequence[str] = (),
    variant: str = "minbase",
    mirror: str | Sequence[str] = (),
    keyring: str | None = None,
    verify: bool = True,
    configure: bool = False,
    architecture: str | None = None,
    lock: str | Path | None = None,
    tag: str | Sequence[str] = (),
    on_line: Callable[[str], None] = _nothing,
    root: str | Path = "/",
) -> Image:
    """Make the image; blocks. `on_line` gets a line for each thing that is done, in any thread; `root` is where etc/apt is.

    packages      besides those of the variant; each may say its version: NAME=VERSION
    variant       "busybox", "essential" or "minbase"
    mirror        instead of those of the host's apt
    keyring       whose keys may have signed the index, instead of those that apt trusts; with verify=False nobody looks
    configure     run the maintainer scripts in the image, as its last layer
    lock          a file: its packages are taken, or written there if it is not there
    tag           names instead of the distribution's
    """
    with about("--tag"):
        for name in _several(tag):
            new_name(name)
    request = BootstrapRequest(
        distribution,
        packages=_several(packages),
        variant=variant,
        mirrors=_several(mirror),
        keyring=keyring,
        verifies=verify,
        architecture=architecture or host_platform().architecture,
        lock=None if lock is None else Path(lock),
        tags=_several(tag),
        root=Path(root),
    )
    steps = RuntimeStepRunner(lifecycle)

    def run(lower_paths: tuple[str, ...], scratch: Path, arguments: tuple[str, ...], environment: tuple[str, ...]) -> tuple[int, str]:
        tail = OutputTail()

        def on_output(stream: int, data: bytes) -> None:
            tail.add(data)
            for line in data.decode("utf-8", "replace").splitlines():
                on_line(line)

        step = RunRequest(lower_paths, scratch, arguments, environment, "/", "", "none", "bootstrap")
        return steps.run(step, on_output), tail.text

    return Bootstrap(store, catalog, lifecycle.launcher, on_line).make(request, run if configure else None)
