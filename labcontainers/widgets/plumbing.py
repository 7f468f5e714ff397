"""All that ties the widgets to Jupyter: traits, comm messages, displays, and the one door that messages leave by.

It must not know containers or builds: an Owner says what is shown and what is done.
"""

from __future__ import annotations

import atexit
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from labcontainers.widgets import bundle, messages
from labcontainers.widgets.snapshot import Snapshot

VIEW_TYPE = "application/vnd.jupyter.widget-view+json"


class Owner(Protocol):
    """Whose widget it is. Every method may be called from any thread."""

    role: str

    def everything(self) -> Mapping[str, Any]:
        """All that a page must know, as of what was sent so far."""

    def replay(self) -> None:
        """Send all that a page must know."""

    def act(self, action: str) -> None:
        """Do what a button says; must not block."""

    def watch(self, page: str, views: int) -> None:
        """A page tells how many views of the widget it shows."""

    def shown(self) -> None:
        """The widget is being displayed."""

    def show_on(self, surface: LiveWidget) -> None:
        """Send to `surface` from now on."""

    def snapshot(self) -> Snapshot:
        """What stays without a kernel."""

    def close(self) -> None:
        """Stop threads, and join them."""


class Cells:
    """Knows whether a cell is running: then a front end may be unable to say that somebody looks."""

    def __init__(self) -> None:
        self._shell: Any = None
        self._running = False

    def running(self) -> bool:
        return self._running

    def follow(self, shell: Any) -> None:
        """Listen to `shell` from now on; called while a cell runs."""
        if shell is None or shell is self._shell:
            return
        self._shell, self._running = shell, True
        shell.events.register("pre_run_cell", self._before)
        shell.events.register("post_run_cell", self._after)

    def _before(self, *_: object) -> None:
        self._running = True

    def _after(self, *_: object) -> None:
        self._running = False


class OpenWidgets:
    """The live widgets of this kernel, closed together when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._naming = threading.RLock()
        self._widgets: dict[str, LiveWidget] = {}
        self._named: dict[str, LiveWidget] = {}

    def add(self, widget: LiveWidget) -> None:
        with self._lock:
            if not self._widgets:
                atexit.register(self.end)
            self._widgets[widget.model_id] = widget

    def find_or_open(self, name: str, make: Callable[[], LiveWidget]) -> LiveWidget:
        """The open widget that is known as `name`, else a new one."""
        with self._naming:
            widget = self._named.get(name)
            if widget is None or widget.comm is None:
                widget = self._named[name] = make()
            return widget

    def discard(self, model_id: str) -> None:
        with self._lock:
            widget = self._widgets.pop(model_id, None)
            self._named = {name: other for name, other in self._named.items() if other is not widget}

    def close(self) -> None:
        """Close every widget; blocks until their threads have ended."""
        for widget in self._all():
            widget.close()

    def end(self) -> None:
        """Stop what feeds the widgets, as the kernel ends: nothing is sent any more."""
        for widget in self._all():
            widget.owner.close()

    def _all(self) -> list[LiveWidget]:
        with self._lock:
            return list(self._widgets.values())


CELLS = Cells()
OPEN = OpenWidgets()


class LiveWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget has no types
    """A widget whose code comes from the kernel by message and whose data come as numbered updates.

    A notebook keeps of it the loader (below 2 kB) and the snapshot. `_first` carries the code and the first data in the
    message that opens the widget, so that it shows at once while a cell still runs, and is emptied right after.
    `code_name` names the bundle that has its code.
    """

    code_name = bundle.WIDGETS

    _esm = traitlets.Unicode().tag(sync=True)
    _role = traitlets.Unicode().tag(sync=True)
    _snapshot = traitlets.Unicode().tag(sync=True)
    _first = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(self, owner: Owner) -> None:
        js = bundle.read(name=self.code_name)
        self._owner = owner
        self._door = threading.RLock()
        self._seq = 0
        self._display_id = secrets.token_hex(8)
        self._displayed = False
        self._kept = 0
        first = {"code": js.code, "replay": {"seq": 0, "now": time.time(), "data": owner.everything()}}
        super().__init__(_esm=js.loader, _role=owner.role, _snapshot=owner.snapshot().html, _first=first)
        self._first = None
        _let_the_front_end_choose(self.comm)
        self.on_msg(self._receive)
        OPEN.add(self)
        owner.show_on(self)

    @property
    def owner(self) -> Owner:
        return self._owner

    # --- out, by one door: whole messages, in the order of their numbers, from any thread

    def update(self, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send what changed; `buffers` travel as they are."""
        with self._door:
            self._seq += 1
            self._post(messages.update(self._seq, time.time(), data), buffers)

    def resend(self, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send all there is, as of the last update."""
        with self._door:
            self._post(messages.replay(self._seq, time.time(), data), buffers)

    def keep(self, *, in_output: bool) -> None:
        """Renew what a saved notebook keeps: in the widget's state, and if `in_output` in the outputs of the cells that show it."""
        if self.comm is None:
            return
        # outside the door: the owner has a lock of its own, and whoever holds that may want the door
        data, metadata = LiveWidget._repr_mimebundle_(self)
        with self._door:
            self._kept += 1
            if data["text/html"] != self._snapshot:
                self._snapshot = data["text/html"]
            if in_output and self._displayed:
                publish_display_data(data, metadata, transient={"display_id": self._display_id}, update=True)

    def _post(self, message: messages.Message, buffers: Sequence[bytes] = ()) -> None:
        if self.comm is not None:
            self.send(message, list(buffers) or None)

    def __del__(self) -> None:
        """Nothing: ipywidgets would close it here, and it may be collected in any thread."""

    # --- in

    def _receive(self, _: object, content: Any, buffers: Any) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "code":
            js = bundle.read(name=self.code_name)
            with self._door:
                self._post(messages.code(js.hash, js.code))
        elif kind == "ready":
            self._owner.replay()
        elif kind == "watch":
            self._owner.watch(str(content.get("page", "")), int(content.get("views", 0)))
        elif kind == "act":
            self._owner.act(str(content.get("action", "")))

    # --- how it is shown

    def __repr__(self) -> str:
        return self._owner.snapshot().text

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        snapshot = self._owner.snapshot()
        data: dict[str, Any] = {"text/plain": snapshot.text, "text/html": snapshot.html}
        if self.comm is not None:
            data[VIEW_TYPE] = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        return data, {}

    def _ipython_display_(self, **_: object) -> None:
        """Show it under a display id, so that the last snapshot can take the place of the first."""
        CELLS.follow(get_ipython())
        self._owner.shown()
        while not self._show_first():
            pass

    def _show_first(self) -> bool:
        """Show it, unless a snapshot was kept meanwhile: that would have found no output to renew, and this one is older."""
        with self._door:
            kept = self._kept
        data, metadata = LiveWidget._repr_mimebundle_(self)
        with self._door:
            if kept != self._kept:
                return False
            publish_display_data(data, metadata, transient={"display_id": self._display_id})
            self._displayed = True
        return True

    def close(self) -> None:
        """Stop what feeds it, leave the last snapshot in its outputs, and close the comm. Idempotent."""
        if self.comm is None:
            return
        OPEN.discard(self.model_id)
        self._owner.close()
        with self._door:
            super().close()
        if self._displayed:
            data, metadata = LiveWidget._repr_mimebundle_(self)
            publish_display_data(data, metadata, transient={"display_id": self._display_id}, update=True)


def _let_the_front_end_choose(comm: Any) -> None:
    """Let messages be handled in the subshell that the front end names, so that buttons work while a cell runs.

    ipykernel 7 sends them instead to the shell that the comm was last used from, which is the one that the cell keeps busy.
    Our handlers may run in any thread. Source: ipykernel/comm/comm.py, BaseComm._reply_subshell_for.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
