"""Any earlier step of an image as an image: its lower layers alone, to be run, tagged or built on.

It must not know how an image was made: it goes by the layers and the history. A layer's files are known for every step; how its process
was to be run is not written down in an image. Where the store has the very image of that step, such as the one that a Dockerfile's FROM
named, the step is that image; else it has the config of the whole image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.images.image import Image
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import HistoryEntry, ImageConfig
from labcontainers.store.snapshots import Layer

# The key in the config of an image that was made here, which names the image that it is a step of.
STEP_OF = "labcontainers.step-of"
_DIGITS_LEAST = 4
_HINT = "write a layer's number from 1, steps back such as -1, or the beginning of a diff_id; `image layers NAME` lists them"


class Catalog(Protocol):
    """What this needs of the catalog."""

    def list_own(self) -> Sequence[Image]: ...

    def put(self, config: ImageConfig, layers: Sequence[Layer], references: Sequence[str]) -> Image: ...


def image_at(catalog: Catalog, image: Image, step: int | str | None, instruction: int | None = None) -> Image:
    """The image as of a layer, or of an entry of its history (both counted from 1); the same step gives the same image.

    Raises InvalidArgument, NotFound, and Conflict for a beginning of several digests.
    """
    if (step is None) == (instruction is None):
        raise InvalidArgument("image.at: say a step or an instruction", _HINT)
    if instruction is not None:
        entries = instruction
        if not 1 <= entries <= len(image.config.history):
            raise NotFound(f"no such instruction of {image.name}: {instruction}", f"it has 1 to {len(image.config.history)}")
        layers = sum(not entry.empty_layer for entry in image.config.history[:entries])
    else:
        layers = _layer(image, str(step).strip())
        entries = _entries(image.config.history, layers)
        if layers == len(image.diff_ids):
            return image
    if not 1 <= layers <= len(image.diff_ids):
        raise NotFound(f"step {step or instruction} of {image.name} has no layer", "choose a later one")
    history = image.config.history[:entries]
    if (layers, entries) == (len(image.diff_ids), len(image.config.history)):
        return image
    return _found(catalog, image.diff_ids[:layers], history) or _made(catalog, image, layers, history)


def _layer(image: Image, step: str) -> int:
    """The number of the layer that is meant."""
    count = len(image.diff_ids)
    digits = step.removeprefix("sha256:")
    try:
        number = int(step)
    except ValueError:
        number = 0
    else:
        if abs(number) <= count or len(digits) < _DIGITS_LEAST:
            wanted = number if number > 0 else count + number
            if number == 0 or not 1 <= wanted <= count:
                raise NotFound(f"no such step of {image.name}: {step}", f"it has 1 to {count}, and -1 to -{count - 1} count back")
            return wanted
    if len(digits) < _DIGITS_LEAST or not all(letter in "0123456789abcdef" for letter in digits):
        raise InvalidArgument(f"not a step of an image: {step!r}", _HINT)
    named = [
        index
        for index in range(1, count + 1)
        if any(
            digest.removeprefix("sha256:").startswith(digits) for digest in (image.diff_ids[index - 1], chain_id(image.diff_ids[:index]))
        )
    ]
    if not named:
        raise NotFound(f"no layer of {image.name} begins with {step}", _HINT)
    if len(named) > 1:
        raise Conflict(f"more than one layer of {image.name} begins with {step}", "give more digits, or the layer's number")
    return named[0]


def _entries(history: Sequence[HistoryEntry], layers: int) -> int:
    """How many entries of the history it takes to have so many layers; all, where the history does not tell."""
    seen = 0
    for count, entry in enumerate(history, 1):
        seen += not entry.empty_layer
        if seen == layers:
            return count
    return len(history)


def _found(catalog: Catalog, diff_ids: tuple[str, ...], history: tuple[HistoryEntry, ...]) -> Image | None:
    """The image in the store that was this step: the same layers by the same history."""
    same = []
    for other in catalog.list_own():
        # One that is removed while we look is not the one.
        with contextlib.suppress(NotFound):
            if other.diff_ids == diff_ids and other.config.history == history and STEP_OF not in other.config.extra:
                same.append(other)
    return min(same, key=lambda other: other.id, default=None)


def _made(catalog: Catalog, image: Image, layers: int, history: tuple[HistoryEntry, ...]) -> Image:
    config = replace(
        image.config,
        diff_ids=image.diff_ids[:layers],
        history=history,
        created=(history[-1].created if history else "") or image.config.created,
        extra={**image.config.extra, STEP_OF: image.id},
    )
    sizes = [layer.size_bytes for layer in image.layers[:layers]]
    kept = [
        Layer(diff_id, chain_id(image.diff_ids[:count]), size)
        for count, (diff_id, size) in enumerate(zip(image.diff_ids, sizes, strict=False), 1)
    ]
    return catalog.put(config, kept, ())
