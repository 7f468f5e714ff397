"""`await engine.containers.run_async(…)` and `await container.wait_async()`: the loop goes on, and cancelling has its effect."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import InvalidArgument, NotFound, StartFailed
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

POLITE = "trap 'echo bye; exit 7' TERM; echo begun; sleep 1000 & wait"
NETWORK = {"network": "none"}


def played(work: Coroutine[Any, Any, Any]) -> Any:
    """The outcome of a coroutine in a loop that is closed afterwards."""
    outcome = asyncio.run(work)
    assert not [thread.name for thread in threading.enumerate() if thread.name in ("lab-await", "lab-time-limit")]
    return outcome


async def heard(event: threading.Event) -> None:
    """Wait for what another thread tells, by the loop's own turns: a loop that is blocked never gets here."""
    while not event.is_set():
        await asyncio.sleep(0.01)


def test_the_loop_goes_on_while_a_run_is_awaited(engine: Engine) -> None:
    begun = threading.Event()
    here = contextvars.ContextVar("here", default="")
    seen: list[str] = []

    def hear(stream: int, data: bytes) -> None:
        seen.append(here.get())
        begun.set()

    async def main() -> Any:
        here.set("the cell")
        run = asyncio.create_task(
            engine.containers.run_async("lab/base", ["sh", "-c", "trap 'exit 3' TERM; echo begun; sleep 1000 & wait"], **options)
        )
        await heard(begun)
        # what a button does meanwhile: it uses the same engine, in the loop
        engine.containers.get("it").exec(["touch", "/gone"])
        engine.containers.get("it").kill("TERM")
        return await run

    options: dict[str, Any] = {"name": "it", "remove": True, "on_output": hear, **NETWORK}
    result = played(main())
    assert (result.exit_code, result.stdout) == (3, "begun\n")
    assert seen[0] == "the cell"


def test_who_cancels_stops_the_container(engine: Engine) -> None:
    begun = threading.Event()

    async def main() -> None:
        options: dict[str, Any] = {"name": "it", "on_output": lambda stream, data: begun.set(), **NETWORK}
        run = asyncio.create_task(engine.containers.run_async("lab/base", ["sh", "-c", POLITE], **options))
        await heard(begun)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        # it has ended already, by its stop signal
        assert engine.containers.get("it").state.exit_code == 7

    played(main())
    engine.containers.get("it").remove()


def test_an_interrupt_that_does_not_wake_the_loop_is_noticed_all_the_same(engine: Engine) -> None:
    """As ipykernel has it: its handler leaves word for the loop's next turn."""

    def interrupt(stream: int, data: bytes) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"name": "it", "on_output": interrupt, **NETWORK}
        run = asyncio.create_task(engine.containers.run_async("lab/base", ["sh", "-c", POLITE.replace("1000", "20")], **options))
        former = signal.signal(signal.SIGUSR1, lambda number, frame: loop.call_soon(run.cancel) and None)
        try:
            with pytest.raises(asyncio.CancelledError):
                await run
        finally:
            signal.signal(signal.SIGUSR1, former)
        assert engine.containers.get("it").state.exit_code == 7

    played(main())
    engine.containers.get("it").remove()


def test_one_that_is_cancelled_before_it_began_leaves_nothing(engine: Engine) -> None:
    async def main() -> None:
        run = asyncio.create_task(engine.containers.run_async("lab/base", ["sleep", "1000"], remove=True, **NETWORK))
        await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    played(main())
    assert engine.containers.list(all=True) == []


def test_several_at_once_limits_of_time_and_errors(engine: Engine) -> None:
    async def main() -> list[Any]:
        runs = [engine.containers.run_async("lab/base", ["echo", str(n)], remove=True, **NETWORK) for n in range(3)]
        late = engine.containers.run_async("lab/base", ["sh", "-c", POLITE], remove=True, timeout_s=0.4, **NETWORK)
        missing = engine.containers.run_async("lab/base", ["nosuch"], remove=True, **NETWORK)
        return await asyncio.gather(*runs, late, missing, return_exceptions=True)

    *results, late, missing = played(main())
    assert [result.stdout for result in results] == ["0\n", "1\n", "2\n"]
    assert late.timed_out
    assert isinstance(missing, StartFailed)
    with pytest.raises(InvalidArgument, match="detach"):
        played(engine.containers.run_async("lab/base", ["true"], detach=True))


def test_an_end_is_awaited(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sh", "-c", POLITE], detach=True, remove=True, **NETWORK)
    until(lambda: "begun" in str(container.logs()), "it has begun")

    async def main() -> None:
        with pytest.raises(TimeoutError, match=r"still runs after 0\.05 s"):
            await container.wait_async(timeout_s=0.05)
        given_up = asyncio.create_task(container.wait_async())
        waits = [asyncio.create_task(container.wait_async()), asyncio.create_task(container.wait_async(condition="removed"))]
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert container.status == "running"
        container.kill("TERM")
        assert await asyncio.gather(*waits) == [7, 7]
        with pytest.raises(NotFound):
            await container.wait_async()

    played(main())


def test_a_condition_is_given_up_too(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "1000"], detach=True, **NETWORK)

    async def main() -> None:
        task = asyncio.create_task(container.wait_async(condition="next-exit"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(InvalidArgument):
            await container.wait_async(condition="never")

    played(main())
    container.remove(force=True)
