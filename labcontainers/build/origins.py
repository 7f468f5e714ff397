"""Where `from` of COPY and of RUN --mount points: an earlier stage, or an image that there is.

It must not know what is taken from there.
"""

from __future__ import annotations

from labcontainers.build.dockerfile.source import Place, nearest
from labcontainers.build.scope import Scope
from labcontainers.build.stages import Origin
from labcontainers.errors import DockerfileError, LabError, Unsupported


def find_origin(scope: Scope, text: str, place: Place, problem: str) -> Origin:
    """The stage or image that `text` names; raises DockerfileError at `place`, which begins with `problem` for a stage that comes later."""
    origin = scope.grouped.find_origin(text, scope.stage.number)
    if origin.stage is not None and origin.stage >= scope.stage.number:
        if scope.stage.number in [stage.number for stage in scope.grouped.needed(scope.grouped.stages[origin.stage])]:
            raise place.fault(f"circular dependency detected on stage: {text}", "a stage cannot take files from what is made of it")
        raise place.fault(f"{problem} stage {text!r}, it needs to be defined before the current stage", "move its FROM up")
    if origin.context:
        return origin
    if origin.stage is None and not text.isdecimal():
        try:
            scope.image_config(origin.image)
        except (DockerfileError, Unsupported):
            raise
        except LabError as error:
            names = [stage.name for stage in scope.grouped.stages[: scope.stage.number] if stage.name]
            raise place.fault(error.message, nearest(text, names) or error.hint) from error
    elif origin.stage is None:
        raise place.fault(f"there is no stage number {text}", f"stages before this one are 0 to {scope.stage.number - 1}")
    return origin
