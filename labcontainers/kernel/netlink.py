"""Network interfaces by rtnetlink(7), through pyroute2, on one thread of its own.

pyroute2's calls fail under a running event loop, such as a notebook's, and importing it takes 200 ms: so it lives on the thread
`lab-netlink`, which is started when it is first needed. It acts in the network namespace in which the given socket was opened; no
process changes its namespace. It must not know networks or containers.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from labcontainers.errors import KernelFailed, Unavailable

Result = TypeVar("Result")
_Job = tuple[Callable[[], Any], "Future[Any]"] | None


class Netlink:
    """The thread, and the verbs on it. Thread-safe; blocks until the kernel has answered."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._routes: dict[int, Any] = {}

    def start(self) -> None:
        """Start the thread and let it import pyroute2, without waiting."""
        self._submit(lambda: None)

    def close(self) -> None:
        """End the thread and close its sockets. Idempotent."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _submit(self, job: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise Unavailable("the engine is closed", "make a new Engine")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lab-netlink", daemon=True)
                self._thread.start()
            self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
        for route in self._routes.values():
            route.close()

    def _do(self, what: str, work: Callable[[Any], Result], fd: int | None) -> Result:
        """Run `work` with an IPRoute on the socket `fd` (or on one of this process' own namespace); maps errors."""

        def job() -> Result:
            from pyroute2.netlink.exceptions import NetlinkError

            try:
                return work(self._route(fd))
            except NetlinkError as error:
                raise KernelFailed("netlink", error.code, what) from error

        return self._submit(job).result()

    def _route(self, fd: int | None) -> Any:
        from pyroute2 import IPRoute

        if fd is None:
            if -1 not in self._routes:
                self._routes[-1] = IPRoute()
            return self._routes[-1]
        return IPRoute(fileno=os.dup(fd))

    def ensure_bridge(self, name: str, address: str, prefix_length: int, *, fd: int | None) -> None:
        """A bridge with this address, up, and `lo` up; what is there already is kept. Raises KernelFailed."""

        def work(route: Any) -> None:
            found = route.link_lookup(ifname=name)
            if not found:
                _unless_there(lambda: route.link("add", ifname=name, kind="bridge"))
                found = route.link_lookup(ifname=name)
            index = found[0]
            _unless_there(lambda: route.addr("add", index=index, address=address, prefixlen=prefix_length))
            route.link("set", index=index, state="up")
            route.link("set", index=1, state="up")

        self._with(f"bridge {name}", work, fd)

    def _with(self, what: str, work: Callable[[Any], Result], fd: int | None) -> Result:
        def closing(route: Any) -> Result:
            try:
                return work(route)
            finally:
                if fd is not None:
                    route.close()

        return self._do(what, closing, fd)

    def add_veth(self, name: str, peer: str, pid: int, bridge: str, *, fd: int | None) -> None:
        """A veth pair: `name` on the bridge, `peer` in the network namespace of the process `pid` (veth(4)). Raises KernelFailed."""

        def work(route: Any) -> None:
            master = route.link_lookup(ifname=bridge)[0]
            route.link("add", ifname=name, kind="veth", peer={"ifname": peer, "net_ns_pid": pid}, master=master, state="up")

        self._with(f"veth {name}", work, fd)

    def configure(self, fd: int, interface: str, address: str, prefix_length: int, gateway: str) -> str:
        """In the namespace of the socket `fd`: the address, the interface and `lo` up, the default route; the MAC address."""

        def work(route: Any) -> str:
            index = route.link_lookup(ifname=interface)[0]
            route.addr("add", index=index, address=address, prefixlen=prefix_length)
            route.link("set", index=index, state="up")
            route.link("set", index=1, state="up")
            if gateway:
                route.route("add", dst="default", gateway=gateway)
            return str(dict(route.link("get", index=index)[0]["attrs"])["IFLA_ADDRESS"])

        return self._with(f"interface {interface}", work, fd)

    def delete_link(self, name: str, *, fd: int | None) -> None:
        """Remove an interface, in the background, since the kernel takes its time; absent is fine."""

        def work(route: Any) -> None:
            for index in route.link_lookup(ifname=name):
                route.link("del", index=index)

        def job() -> None:
            route = self._route(fd)
            try:
                work(route)
            finally:
                if fd is not None:
                    route.close()
                    os.close(fd)

        self._submit(job)

    def links(self, *, fd: int | None) -> dict[str, int]:
        """Interface name -> index."""

        def work(route: Any) -> dict[str, int]:
            return {dict(link["attrs"])["IFLA_IFNAME"]: link["index"] for link in route.get_links()}

        return self._with("links", work, fd)

    def networks_in_use(self, *, fd: int | None) -> list[str]:
        """Every IPv4 network of the namespace, as address/length, from its addresses and routes."""

        def work(route: Any) -> list[str]:
            found = [f"{dict(entry['attrs'])['IFA_ADDRESS']}/{entry['prefixlen']}" for entry in route.get_addr(family=2)]
            for entry in route.get_routes(family=2):
                target = dict(entry["attrs"]).get("RTA_DST")
                if target:
                    found.append(f"{target}/{entry['dst_len']}")
            return found

        return self._with("addresses", work, fd)


def _unless_there(work: Callable[[], object]) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        work()
    except NetlinkError as error:
        if error.code != 17:
            raise
