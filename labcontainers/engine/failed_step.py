"""A build step that failed, to look around in: containers on its files as they were then, with what it had of its surroundings.

It must not know how the files are kept, nor how it is shown by widgets.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from labcontainers.build.failures import Failure, Failures
from labcontainers.containers.collection import Containers
from labcontainers.containers.container import Container
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.result import RunResult
from labcontainers.errors import NotFound, StepFailed
from labcontainers.images.catalog import Catalog
from labcontainers.images.files import Files
from labcontainers.images.image import Image
from labcontainers.images.layers import ImageLayer
from labcontainers.markup import NO_FORMULAS
from labcontainers.store.layout import Store

Command = str | Sequence[str] | None
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class FailedStep:
    """The step with its environment, user, working directory, mounts, network and names of hosts; secrets and agents are not there.

    Whatever is done in it starts at the point of failure again, and changes nothing of that.
    """

    def __init__(self, failure: Failure, failures: Failures, catalog: Catalog, containers: Containers) -> None:
        self.failure = failure
        self._failures = failures
        self._catalog = catalog
        self._containers = containers

    @property
    def image(self) -> Image:
        """The files as an image without a name; raises NotFound when it was pruned, or when the build succeeded meanwhile."""
        image = self._catalog.find_own(self.failure.image_id)
        if image is None:
            raise NotFound(f"the files of the failed step are gone: {self.failure.text}", "build again")
        return image

    @property
    def layer(self) -> ImageLayer:
        """What the step had changed when it failed."""
        return self.image.layers[-1]

    @property
    def files(self) -> Files:
        """The files that the step had changed when it failed."""
        return self.layer.files

    @property
    def missing(self) -> Sequence[str]:
        """What the step had mounted and is not here."""
        return self.failure.missing

    def run(self, command: Command = None, **options: Any) -> RunResult:
        """Run a command where the step failed, and wait for it; without one, its shell. Options are those of containers.run()."""
        keywords = {"remove": True, **self._surroundings(), **options}
        result: RunResult = self._containers.run(self.image, self._command(command), detach=False, **keywords)
        return result

    def container(self, command: Command = None, **options: Any) -> Container:
        """A running container there, to copy from, to attach or to exec in; without one, its shell at a terminal."""
        seat = {} if command else {"tty": True, "stdin_open": True}
        return self._containers.run(self.image, self._command(command), detach=True, **{**seat, **self._surroundings(), **options})

    def create(self, command: Command = None, **options: Any) -> Container:
        """As container(), not started yet."""
        return self._containers.create(self.image, self._command(command), **{**self._surroundings(), **options})

    def remove(self) -> None:
        """Keep it no longer."""
        self._failures.forget(self.failure.key)
        self._failures.remove_images()

    def _command(self, command: Command) -> Sequence[str]:
        if isinstance(command, str):
            return [self.failure.shell, "-c", command]
        return list(command) if command else [self.failure.shell]

    def _surroundings(self) -> dict[str, Any]:
        failure = self.failure
        return {
            "network": failure.network,
            **({"extra_hosts": list(failure.hosts)} if failure.hosts else {}),
            **({"privileged": True} if failure.privileged else {}),
            **({"mounts": [dict(mount) for mount in failure.mounts]} if failure.mounts else {}),
        }

    def _lines(self) -> list[str]:
        failure = self.failure
        name = failure.tags[0] if failure.tags else failure.context
        lines = [f"failed step of {name}: exit code {failure.exit_code}", f"{failure.file}:{failure.line}: {failure.text}"]
        try:
            changed = [f"{count} {word}" for word, count in self.layer.changes.items() if count]
        except NotFound as error:
            return [*lines, error.message]
        lines.append(f"files until then: {', '.join(changed) or 'none changed'}")
        lines += [f"not there: {', '.join(failure.missing)}"] if failure.missing else []
        return [*lines, "run in it: build debug -it at a terminal, build debug NAME COMMAND in a cell, .run(command), .container()"]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        lines = "\n".join(html.escape(line) for line in self._lines())
        return f'<pre {NO_FORMULAS} style="font-size:90%;background:none">{lines}</pre>'


class FailedSteps:
    """`engine.images.failed_steps`: those that a store keeps."""

    def __init__(self, store: Store, catalog: Catalog, lifecycle: Lifecycle) -> None:
        self.kept = Failures(store, catalog)
        self._catalog = catalog
        self._containers = Containers(lifecycle)

    def list(self) -> Sequence[FailedStep]:
        """All of them, the last one first."""
        return [self.of(failure) for failure in self.kept.list()]

    def get(self, name: str | None = None) -> FailedStep:
        """The last one, or the last of the build with this tag or context folder; raises NotFound."""
        return self.of(self.kept.get(name))

    def of(self, failure: Failure) -> FailedStep:
        """What is kept, to be looked into."""
        return FailedStep(failure, self.kept, self._catalog, self._containers)


def keeping_failed_steps(
    steps_of: Callable[[Any], FailedSteps],
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorates what builds: its StepFailed gets a FailedStep, and what is not kept any more is removed once nothing is being made."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def wrapped(*arguments: Parameters.args, **keywords: Parameters.kwargs) -> Result:
            steps = steps_of(arguments[0])
            try:
                return function(*arguments, **keywords)
            except StepFailed as error:
                if isinstance(error.failure, Failure):
                    error.failure = steps.of(error.failure)
                raise
            finally:
                steps.kept.remove_images()

        return wrapped

    return decorate
