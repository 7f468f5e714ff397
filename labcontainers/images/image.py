"""An image as the user holds it: its names, config, layers and size.

It must not know how it came to be; verbs go to the catalog that it came from.
"""

from __future__ import annotations

import contextlib
import html
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from labcontainers.errors import InvalidReference
from labcontainers.images.facts import Facts
from labcontainers.images.history import History
from labcontainers.markup import TABLE
from labcontainers.oci.digest import short
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.reference import parse_reference
from labcontainers.units import format_age, format_bytes, format_time

if TYPE_CHECKING:
    from labcontainers.images.bill import Bill
    from labcontainers.images.exploration import Exploration
    from labcontainers.images.image_diff import ImageDiff
    from labcontainers.images.layer_contents import LayerContents
    from labcontainers.images.layers import ImageLayer, Wasted
    from labcontainers.store.snapshots import Layer


class ImageVerbs(Protocol):
    """What an image asks its catalog for."""

    def config_of(self, image_id: str) -> ImageConfig: ...

    def layer_sizes(self, diff_ids: Sequence[str]) -> tuple[int, ...]: ...

    def descriptor_of(self, image: Image) -> dict[str, Any]: ...

    def tag(self, image: Image, reference: str) -> Image: ...

    def remove(self, name_or_id: str, force: bool = False) -> Any: ...

    def layer_folders(self, image: Image) -> tuple[str, ...]: ...

    def last_tagged_at(self, image: Image) -> float | None: ...

    def get(self, name_or_id: str) -> Image: ...

    def list(self, all: bool = False) -> Sequence[Image]: ...

    def list_own(self) -> Sequence[Image]: ...

    def put(self, config: ImageConfig, layers: Sequence[Layer], references: Sequence[str]) -> Image: ...

    @property
    def contents(self) -> LayerContents: ...


# What Docker's document has also where an image says nothing, so that a template may ask for it.
_UNSAID = {"User": "", "Env": None, "Cmd": None, "Entrypoint": None, "Volumes": None, "WorkingDir": "", "Labels": None, "OnBuild": None}


class Image:
    """One image; two of the same id are equal. Its config is read when it is first asked for (NotFound, where it was removed meanwhile)."""

    __slots__ = (
        "_asked_for",
        "_catalog",
        "_config",
        "_facts",
        "_manifest_digest",
        "_size_bytes",
        "_stored_at",
        "id",
        "read_only",
        "repo_digests",
        "tags",
    )

    def __init__(
        self,
        catalog: ImageVerbs,
        image_id: str,
        facts: Facts,
        tags: tuple[str, ...],
        repo_digests: tuple[str, ...],
        size_bytes: int,
        manifest_digest: str,
        stored_at: float,
        read_only: bool = False,
        config: ImageConfig | None = None,
    ) -> None:
        self._asked_for = ""
        self._catalog = catalog
        self._config = config
        self._facts = facts
        self._manifest_digest = manifest_digest
        self._size_bytes = size_bytes
        self._stored_at = stored_at
        self.id = image_id
        # Whether it is in a shared store, which alone can take it away.
        self.read_only = read_only
        self.tags = tags
        # Its names with a digest, by which registries know it: busybox@sha256:…
        self.repo_digests = repo_digests

    @property
    def config(self) -> ImageConfig:
        """How containers of it run, its layers, and what made it."""
        if self._config is None:
            self._config = self._catalog.config_of(self.id)
        return self._config

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its config."""
        return self._facts.labels

    @property
    def platform(self) -> str:
        """What it runs on, such as linux/amd64."""
        return self._facts.platform

    @property
    def short_id(self) -> str:
        """The first 12 hexadecimal digits of the id."""
        return short(self.id)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of the layers' tars, from the bottom up."""
        return self.config.diff_ids

    @property
    def manifest_digest(self) -> str:
        """The digest of the manifest."""
        return self._manifest_digest

    @property
    def size_bytes(self) -> int:
        """All layers' tars together."""
        return self._size_bytes

    @property
    def stored_bytes(self) -> int:
        """Its documents, and those layers that are kept as they came, compressed mostly."""
        return self._facts.stored_bytes

    @property
    def stored_at(self) -> float:
        """When it came into the store, in seconds since the epoch."""
        return self._stored_at

    @property
    def created_at(self) -> float:
        """Seconds since the epoch, from the config; when that says nothing, the time it came into the store."""
        return self._facts.created_at or self._stored_at

    @property
    def history(self) -> History:
        """What made it, oldest first; `.steps` has the sizes."""
        return History(self.config.history, self.diff_ids, self._catalog.layer_sizes(self.diff_ids), self.id, self.tags)

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """The layers from the bottom up, each with what made it and, in `.files`, what it changes."""
        from labcontainers.images.layers import layers_of

        return layers_of(self.diff_ids, self._catalog.layer_sizes(self.diff_ids), self.config.history, self._catalog.contents)

    @property
    def wasted(self) -> Wasted:
        """Files that later layers remove or overwrite, the largest first, and the efficiency; blocks when it is first asked for."""
        from labcontainers.images.layers import Wasted

        return Wasted(self._catalog.contents.wasted(self.diff_ids))

    @property
    def wasted_bytes(self) -> int:
        """What the files of all layers hold that nobody sees in the image."""
        return self.wasted.size_bytes

    @property
    def name(self) -> str:
        """The name by which it was asked for, else its first one, or its short id."""
        return self._asked_for if self._asked_for in self.tags else self.tags[0] if self.tags else self.short_id

    def asked_for(self, name_or_id: str) -> Image:
        """This, which is called so from now on if that is one of its names."""
        with contextlib.suppress(InvalidReference):
            self._asked_for = parse_reference(name_or_id).familiar
        return self

    def at(self, step: int | str | None = None, *, instruction: int | None = None) -> Image:
        """It as of an earlier step, as an image without a name: a layer from 1, steps back (-1), or the beginning of a diff_id or chain_id.

        `instruction` is a number in the history instead. How its process ran at that step is known where the store has that image,
        such as the one named by FROM; else it is as in this one (images.steps). Raises InvalidArgument, NotFound, Conflict.
        """
        from labcontainers.images.steps import image_at

        return image_at(self._catalog, self, step, instruction)

    def tag(self, reference: str) -> Image:
        """Give it one more name."""
        return self._catalog.tag(self, reference)

    def remove(self, force: bool = False) -> Any:
        """Remove it with all its names."""
        return self._catalog.remove(self.id, force)

    def diff(self, other: Image | str, *, content: bool = False) -> ImageDiff:
        """What makes `other` (an image, a name or an id) of this one: layers, config and files.

        Files of one size are equal when their times are, or with `content` when they hold the same. Raises NotFound.
        """
        from labcontainers.images.image_diff import ImageDiff

        return ImageDiff(self, self._catalog.get(other) if isinstance(other, str) else other, self._catalog.contents, content=content)

    def explore(self) -> Exploration:
        """To be looked into: in a notebook the layer explorer, else what each layer changes and what is wasted."""
        from labcontainers.images.exploration import Exploration

        return Exploration(self)

    def sbom(self) -> Bill:
        """The packages in it, as the databases of dpkg, apk and Python tell, each with its layer; blocks when it is first asked for."""
        from labcontainers.images.bill import Bill, packages_of

        packages, unread = packages_of(self._catalog.contents.package_files(self.diff_ids), self.diff_ids)
        return Bill(packages, unread, self.id, self.name, self.config.created)

    def others(self) -> list[str]:
        """The names of the other images of its store, those of one name with it first."""
        found = [image for image in self._catalog.list() if image != self]
        own = {name.partition(":")[0] for name in self.tags}
        names = [name for image in found for name in image.tags]
        return sorted(names, key=lambda name: (name.partition(":")[0] not in own, name))

    def inspect(self) -> dict[str, Any]:
        """Docker's image document (Engine API, ImageInspect)."""
        config = self.config
        variant, version = config.extra.get("variant"), config.extra.get("os.version")
        return {
            "Id": self.id,
            "RepoTags": list(self.tags),
            "RepoDigests": list(self.repo_digests),
            "Parent": "",
            "Comment": str(config.extra.get("comment") or (config.history[-1].comment if config.history else "")),
            "Created": config.created,
            "DockerVersion": str(config.extra.get("docker_version") or ""),
            "Author": config.author,
            "Architecture": config.architecture,
            **({"Variant": str(variant)} if variant else {}),
            "Os": config.os,
            **({"OsVersion": str(version)} if version else {}),
            "Size": self.size_bytes,
            "GraphDriver": {"Data": self._folders(), "Name": "overlay2"},
            "RootFS": {"Type": "layers", "Layers": list(self.diff_ids)},
            "Metadata": {"LastTagTime": format_time(self._catalog.last_tagged_at(self))},
            "Config": {**_UNSAID, **config.config.to_json()},
            "Descriptor": self._catalog.descriptor_of(self),
        }

    def _folders(self) -> dict[str, str]:
        """Where its layers are: the upper one, and those below it where there are any. An image itself is mounted nowhere."""
        upper, *lower = self._catalog.layer_folders(self) or ("",)
        return {**({"LowerDir": ":".join(lower)} if lower else {}), "UpperDir": upper}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Image {self.name} ({self.short_id}) {_layers(len(self.diff_ids))}, {format_bytes(self.size_bytes)}>"

    def _repr_html_(self) -> str:
        left = 'style="text-align:left;padding:1px 10px 1px 0"'
        rows = "".join(
            f'<tr><td style="text-align:right;padding:1px 10px 1px 0">{format_bytes(layer.size_bytes)}</td>'
            f"<td {left}>{html.escape(short(layer.diff_id))}</td><td {left}>{html.escape(layer.created_by)}</td></tr>"
            for layer in self.layers
        )
        names = html.escape(", ".join(self.tags) or "untagged")
        age = format_age(time.time() - self.created_at).lower() if self.created_at > 0 else "long"
        only = " · read-only" if self.read_only else ""
        return (
            f"<b>{names}</b> <span style='opacity:.7'>{self.short_id} · {format_bytes(self.size_bytes)} · made {age} ago{only}</span>"
            f"{TABLE}{rows}</table>"
        )


def _layers(count: int) -> str:
    return f"{count} layer{'s' if count != 1 else ''}"
