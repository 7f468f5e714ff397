"""What a dashboard's buttons do, each in a thread of its own, `lab-dashboard-act`: some take seconds, and none holds up another.

It must not know pages: what goes on and what became of it is told by functions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from labcontainers.errors import InvalidArgument
from labcontainers.kernel.interrupts import begin_thread
from labcontainers.units import format_bytes

if TYPE_CHECKING:
    from labcontainers.engine.engine import Engine

Verb = Callable[["Engine", str], str]


def _of_container(name: str, **keywords: Any) -> Verb:
    def act(engine: Engine, container_id: str) -> str:
        getattr(engine.containers.get(container_id), name)(**keywords)
        return ""

    return act


def _remove_image(engine: Engine, name: str) -> str:
    engine.images.remove(name)
    return ""


def _remove_volume(engine: Engine, name: str) -> str:
    engine.volumes.get(name).remove()
    return ""


def _reclaimed(count: int, what: str, reclaimed_bytes: int) -> str:
    return f"removed {count} {what}{'' if count == 1 else 's'}, {format_bytes(reclaimed_bytes)} became free"


def _prune_containers(engine: Engine, _: str) -> str:
    done = engine.containers.prune()
    return _reclaimed(len(done), "container", done.reclaimed_bytes)


def _prune_images(engine: Engine, which: str) -> str:
    done = engine.images.prune(all=which == "all")
    return _reclaimed(len(done.deleted), "image and layer" if len(done.deleted) == 1 else "images and layer", done.reclaimed_bytes)


def _prune_volumes(engine: Engine, which: str) -> str:
    done = engine.volumes.prune(all=which == "all")
    return _reclaimed(len(done), "volume", done.reclaimed_bytes)


def _prune_builds(engine: Engine, which: str) -> str:
    done = engine.images.build_cache.prune(all=which == "all")
    return _reclaimed(len(done.records), "entry" if len(done.records) == 1 else "entrie", done.reclaimed_bytes)


VERBS: Mapping[tuple[str, str], Verb] = {
    ("container", "start"): _of_container("start"),
    ("container", "stop"): _of_container("stop"),
    ("container", "restart"): _of_container("restart"),
    ("container", "kill"): _of_container("kill"),
    ("container", "pause"): _of_container("pause"),
    ("container", "unpause"): _of_container("unpause"),
    ("container", "remove"): _of_container("remove", force=True),
    ("container", "prune"): _prune_containers,
    ("image", "remove"): _remove_image,
    ("image", "prune"): _prune_images,
    ("volume", "remove"): _remove_volume,
    ("volume", "prune"): _prune_volumes,
    ("builder", "prune"): _prune_builds,
}


class Acts:
    """What goes on: one thing for each container, image or volume at a time. `changed` hears of each begin and end."""

    def __init__(self, engine: Engine, changed: Callable[[], None], ended: Callable[[str, str, BaseException | None], None]) -> None:
        """`ended` hears what it was about, what is to be told of it, and the error if there was one."""
        self._engine = engine
        self._changed = changed
        self._ended = ended
        self._lock = threading.Lock()
        self._acting: dict[str, str] = {}
        self._threads: list[threading.Thread] = []
        self._closed = False

    def acting(self) -> dict[str, str]:
        """What is done now: the verb by kind and id, such as {"container 4f…": "stop"}."""
        with self._lock:
            return dict(self._acting)

    def begin(self, verb: str, kind: str, id: str, name: str = "", more: Mapping[tuple[str, str], Verb] = MappingProxyType({})) -> None:
        """Do it; nothing where something is done with the same thing already. `more` are verbs beside VERBS."""
        place = f"{kind} {id}"
        about = f"{verb} {name or kind}"
        act = {**VERBS, **more}.get((kind, verb))
        if act is None:
            self._ended(about, "", InvalidArgument(f"a dashboard cannot do this: {verb!r} of {kind!r}", "load the page again"))
            return
        with self._lock:
            if self._closed or place in self._acting:
                return
            self._acting[place] = verb
            thread = threading.Thread(target=self._act, args=(act, place, id, about), name="lab-dashboard-act", daemon=True)
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
            begin_thread(thread)
        self._changed()

    def _act(self, act: Verb, place: str, id: str, about: str) -> None:
        told, failure = "", None
        try:
            told = act(self._engine, id)
        except Exception as error:
            # whatever went wrong is the reader's to see: this thread has nobody else to tell
            failure = error
        with self._lock:
            self._acting.pop(place, None)
        self._ended(about, told, failure)
        self._changed()

    def close(self) -> None:
        """Begin nothing more; blocks until what was begun has ended."""
        with self._lock:
            self._closed = True
            threads: Sequence[threading.Thread] = self._threads
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()
