"""The user's terminal while it is somebody else's: raw mode and back, its size, what is typed, and the signals that are passed on.

It must not know commands. Only the main thread of a process that is a command line may use it (signal(7)).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterator

from labcontainers.containers.attaching.attach import Attached
from labcontainers.errors import INTERRUPTING, Conflict, Interrupted, LabError
from labcontainers.kernel.interrupts import Interrupts, begin_thread

Output = Callable[[int, bytes], None]
_PIECE_BYTES = 1 << 16
# What Docker's command line passes on besides those that interrupt it. SIGCHLD, SIGPIPE and SIGURG are its own.
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGWINCH, signal.SIGCONT, signal.SIGIO)
_PATIENCE = 3


def is_terminal(fd: int | None) -> bool:
    """Whether somebody can type there."""
    return fd is not None and os.isatty(fd)


def size_of(*fds: int) -> tuple[int, int]:
    """Rows and columns of the first of these that is a terminal; zeros where none is."""
    for fd in fds:
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(fd)
            return rows, columns
    return 0, 0


@contextlib.contextmanager
def raw(fd: int) -> Iterator[None]:
    """Every key goes through as it is, and nothing is echoed; however this is left, the terminal is as it was."""
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)
        yield
    finally:
        # Nor may a signal that comes just now prevent it.
        try:
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTING)
        finally:
            with contextlib.suppress(termios.error):  # the terminal itself may be gone
                termios.tcsetattr(fd, termios.TCSADRAIN, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextlib.contextmanager
def _handling(numbers: tuple[int, ...], handler: Callable[[int, object], None]) -> Iterator[None]:
    former = {number: signal.signal(number, handler) for number in numbers if signal.getsignal(number) in (signal.SIG_DFL, None)}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)


@contextlib.contextmanager
def _following_the_size(attached: Attached, *fds: int) -> Iterator[None]:
    """The container's terminal is as large as the user's, also when that changes."""

    def resize(number: int, frame: object) -> None:
        with contextlib.suppress(LabError, OSError):
            attached.resize(*size_of(*fds))

    with _handling((signal.SIGWINCH,), resize):
        yield


@contextlib.contextmanager
def _feeding(attached: Attached, source: int) -> Iterator[None]:
    """Pass on what comes from `source`, in a thread of its own, which ends with the attachment."""
    wake, waker = os.pipe2(os.O_CLOEXEC)
    thread = threading.Thread(target=_feed, args=(attached, source, wake), name="lab-input", daemon=True)
    begin_thread(thread)
    try:
        yield
    finally:
        os.close(waker)
        # A writer that waits for room ends by this; the exit code stays known.
        attached.close()
        thread.join()
        os.close(wake)


def _feed(attached: Attached, source: int, wake: int) -> None:
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(wake, 0)
    while not attached.detached:
        ready = dict(poll.poll())
        if wake in ready:
            return
        try:
            data = os.read(source, _PIECE_BYTES)
        except OSError:
            data = b""  # the terminal is gone
        try:
            if data:
                attached.write(data)
            else:
                if attached.tty:
                    attached.close()  # nobody is there any more
                else:
                    attached.close_stdin()
                return
        except Conflict:
            return


def converse(
    attached: Attached,
    on_output: Output,
    *,
    source: int | None = None,
    sig_proxy: bool = True,
    own: bool = False,
    screen: int = 1,
) -> int | None:
    """Pass output and input on until it ends; the exit code, or None when it was detached from. Closes the attachment.

    With `own` it is a run of ours alone: a second interrupt kills it. Without `sig_proxy` an interrupt detaches. Interrupted is raised
    at the end of one that was interrupted.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(attached.close)
        if source is not None and attached.tty and is_terminal(source):
            stack.enter_context(raw(source))
        if attached.tty:
            stack.enter_context(_following_the_size(attached, screen, *([] if source is None else [source])))
        if sig_proxy:
            stack.enter_context(_handling(_PASSED_ON, lambda number, frame: attached.signal(number)))
        if source is not None and attached.stdin:
            stack.enter_context(_feeding(attached, source))
        proxy = _Proxy(attached, sig_proxy, own)
        with Interrupts(proxy.interrupt, patience=None):
            for piece in attached:
                on_output(*piece)
    code = attached.exit_code
    if code is None and not attached.detached:
        code = 137  # its shim died
    if proxy.left_by:
        raise KeyboardInterrupt(proxy.left_by)
    if proxy.interrupts and own:
        raise Interrupted(f"container {attached.name}", 137 if code is None else code)
    return code


class _Proxy:
    """What becomes of the signals that come meanwhile."""

    def __init__(self, attached: Attached, sig_proxy: bool, own: bool) -> None:
        self._attached = attached
        self._sig_proxy = sig_proxy
        self._own = own
        self.interrupts = 0
        self.left_by = 0

    def interrupt(self, number: int) -> None:
        """Called as a handler, in the middle of whatever the main thread does."""
        if self._sig_proxy and number not in INTERRUPTING:
            self._attached.signal(number)
            return
        self.interrupts += 1
        if not self._sig_proxy or (self.interrupts >= _PATIENCE and not self._own):
            self.left_by = number
            # In a thread, since the locks that this takes may be held just here.
            threading.Thread(target=self._attached.detach, name="lab-detach").start()
        else:
            self._attached.signal(signal.SIGKILL if self._own and self.interrupts > 1 else number)
