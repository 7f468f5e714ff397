"""Whether and when a container that ended is started again: Docker's restart policies, as arithmetic.

It must not know how a container is started. Source: the Docker Engine's restartmanager (moby, version 28) and "Start containers
automatically" in Docker's documentation.
"""

from __future__ import annotations

from labcontainers.kernel.lean import signal

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
SETTLED_S = 10.0


class Restarts:
    """One container's policy: "no", "always", "unless-stopped", "on-failure" or "on-failure:MOST", and what has happened so far.

    `stop_signal` is the number of the container's own stop signal, or 0 if it has none.
    """

    def __init__(self, policy: str, stop_signal: int = 0) -> None:
        self.change(policy)
        self._stop_signal = stop_signal
        self._delay_s = 0.0
        self.count = 0
        self.stopped_by_hand = False
        self.cancelled = False

    def change(self, policy: str) -> None:
        """Follow another policy from now on, and no longer that the container was stopped."""
        self.policy, _, most = policy.partition(":")
        self.most = int(most or 0)
        self.cancelled = False

    @property
    def wanted(self) -> bool:
        """Whether there is a policy at all."""
        return self.policy != "no"

    def signalled(self, number: int, stop: bool = False) -> bool:
        """Somebody sends a signal, to `stop` or otherwise; whether that means that the container shall end.

        As in Docker any signal does, unless the container has a stop signal of its own, which is another one.
        """
        ends = stop or not self._stop_signal or number in (self._stop_signal, signal.SIGKILL)
        self.stopped_by_hand = True
        self.cancelled = self.cancelled or ends
        return ends

    def delay_s(self, exit_code: int, ran_s: float) -> float | None:
        """Seconds to wait before the next start of a container that ran `ran_s` seconds; None when it is not started again."""
        if self.cancelled or not should_restart(self.policy, self.most, self.count, exit_code, self.stopped_by_hand):
            return None
        if ran_s >= SETTLED_S:
            self._delay_s = 0.0
        self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S) or FIRST_DELAY_S
        self.count += 1
        return self._delay_s


def should_restart(policy: str, most: int, count: int, exit_code: int, stopped_by_hand: bool) -> bool:
    """Whether a container that ended with `exit_code` after `count` restarts is to be started again; `most` 0 sets no limit."""
    if policy == "always":
        return True
    if policy == "unless-stopped":
        return not stopped_by_hand
    return policy == "on-failure" and exit_code != 0 and (most == 0 or count < most)
