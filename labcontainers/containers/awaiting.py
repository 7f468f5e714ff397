"""Blocking work that is awaited: it runs in a thread of its own, and the event loop goes on meanwhile.

It must not make an event loop, nor know which one runs: asyncio's running one is used, in Jupyter that of the kernel. asyncio is imported
late, since it is heavy, and there already where somebody awaits.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from labcontainers.kernel.interrupts import LOOK_AGAIN_S, begin_thread

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result], give_up: Callable[[], object]) -> Result:
    """What `work()` returns or raises. It has the caller's context, so that what it prints belongs to the caller's cell.

    When the task is cancelled, `give_up()` is called, and CancelledError goes on once the work has ended; a second time, at once.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Callable[[], Result]) -> None:
        try:
            outcome.set_result(result())
        except BaseException as error:  # whoever awaits is to have it, whatever it is
            outcome.set_exception(error)

    def run() -> None:
        try:
            value = context.run(work)
        except BaseException as error:  # as above
            failure = error

            def result() -> Result:
                raise failure
        else:

            def result() -> Result:
                return value

        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody awaits any more
            loop.call_soon_threadsafe(settle, result)

    thread = threading.Thread(target=run, name="lab-await", daemon=True)
    begin_thread(thread)
    try:
        # An interrupt's handler has its effect at the loop's next turn, which a loop that sleeps would not take for a long time.
        while not outcome.done():
            await asyncio.wait([outcome], timeout=LOOK_AGAIN_S)
    except asyncio.CancelledError:
        if not outcome.done():
            give_up()
            await asyncio.wait([outcome])
        outcome.exception()  # what came of it is of no interest any more
        raise
    finally:
        if outcome.done():
            thread.join()
    return outcome.result()
