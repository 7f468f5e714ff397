"""Samples of several containers at a steady beat, by one thread that lives only while somebody looks.

It must not know what is sampled: a source is a function from the sample before to the next one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from labcontainers.containers.usage.stats import StatsSample
from labcontainers.errors import LabError
from labcontainers.kernel.interrupts import begin_thread

Source = Callable[[StatsSample | None], StatsSample]
Listener = Callable[[StatsSample | None], None]


class Subscription:
    """One who looks at one container; give it back to Sampler.unsubscribe."""

    def __init__(self, key: str, listener: Listener) -> None:
        self.key = key
        self.listener = listener


class Sampler:
    """Between start() and stop(), takes one sample of each container every `interval_s` seconds, however many look at it.

    The thread `lab-stats` exists only while there are subscriptions. It ends with the main thread; as a `daemon` it does not hold up a
    program that ends, and is for who calls stop() then. Thread-safe.
    """

    def __init__(self, interval_s: float = 1.0, *, daemon: bool = False) -> None:
        self._interval_s = interval_s
        self._daemon = daemon
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = False
        self._sources: dict[str, Source] = {}
        self._previous: dict[str, StatsSample] = {}
        self._asked_at: dict[str, float] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        with self._lock:
            return self._thread is not None

    def start(self) -> None:
        """Let the thread run whenever somebody looks. Idempotent."""
        with self._lock:
            self._started = True
            self._run_if_wanted()

    def stop(self) -> None:
        """End the thread, forget who looked, and wait for the sample in hand unless called from within it. Idempotent."""
        with self._lock:
            self._started = False
            self._subscriptions.clear()
            self._sources.clear()
            self._previous.clear()
            self._asked_at.clear()
            thread, self._thread = self._thread, None
            self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def subscribe(self, key: str, source: Source, listener: Listener) -> Subscription:
        """Look at the container `key`: `listener` gets each sample, in the sampler's thread, and None when there will be no more.

        `source` makes the next sample from the one before, and raises LabError when the container does not run any more; of
        several subscriptions with one key the last source is used. The first sample is taken at once, the others with everybody's.
        What else a source raises, and whatever a listener does, is logged and stops nobody.
        """
        subscription = Subscription(key, listener)
        with self._lock:
            self._sources[key] = source
            self._subscriptions.setdefault(key, []).append(subscription)
            self._run_if_wanted()
            self._wake.set()
        return subscription

    def unsubscribe(self, subscription: Subscription, *, wait: bool = False) -> None:
        """Look no more. With the last one the thread ends, and with `wait` it has ended when this returns, unless called from within it.

        Idempotent.
        """
        with self._lock:
            left = [other for other in self._subscriptions.get(subscription.key, ()) if other is not subscription]
            if left:
                self._subscriptions[subscription.key] = left
            else:
                self._forget(subscription.key)
            if self._subscriptions:
                return
            self._wake.set()
            if not wait:
                return
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _forget(self, key: str) -> None:
        for known in (self._subscriptions, self._sources, self._previous, self._asked_at):
            known.pop(key, None)

    def _run_if_wanted(self) -> None:
        if self._started and self._subscriptions and self._thread is None:
            self._wake.clear()
            # Unless asked for, not a daemon: it ends by itself with the main thread, in the middle of nothing.
            self._thread = threading.Thread(target=self._run, name="lab-stats", daemon=self._daemon)
            begin_thread(self._thread)

    def _run(self) -> None:
        round_at = time.monotonic()
        while True:
            with self._lock:
                if threading.current_thread() is not self._thread:
                    return
                if not self._subscriptions or not threading.main_thread().is_alive():
                    self._thread = None
                    return
                self._wake.clear()
                whole = time.monotonic() >= round_at
                keys = self._due(whole)
            for key in keys:
                self._sample(key)
            if whole:
                round_at = time.monotonic() + self._interval_s
            self._wake.wait(max(0.0, round_at - time.monotonic()))

    def _due(self, whole: bool) -> list[str]:
        """Who is asked now: in a `whole` round all but those that just were, whose rates would be of an instant; else who never was."""
        latest = time.monotonic() - self._interval_s / 2
        return [key for key in self._sources if key not in self._asked_at or (whole and self._asked_at[key] <= latest)]

    def _sample(self, key: str) -> None:
        with self._lock:
            source, previous = self._sources.get(key), self._previous.get(key)
            if source is None:
                return
            self._asked_at[key] = time.monotonic()
        try:
            taken = source(previous)
        except (LabError, OSError):
            taken = None
        except Exception:
            logging.getLogger(__name__).exception("a source of statistics failed")
            taken = None
        with self._lock:
            listeners = list(self._subscriptions.get(key, ()))
            if taken is not None and listeners:
                self._previous[key] = taken
            elif taken is None and self._sources.get(key) is source:
                self._forget(key)
        for subscription in listeners:
            try:
                subscription.listener(taken)
            except Exception:
                logging.getLogger(__name__).exception("a listener of statistics failed")
