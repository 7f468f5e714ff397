"""Samples of several containers at a steady beat, by one thread that lives only while somebody looks.

It must not know what is sampled: a source is a function from the sample before to the next one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from labcontainers.containers.stats import StatsSample
from labcontainers.errors import LabError

Source = Callable[[StatsSample | None], StatsSample]
Listener = Callable[[StatsSample | None], None]


class Subscription:
    """One who looks at one container; give it back to Sampler.unsubscribe."""

    def __init__(self, key: str, listener: Listener) -> None:
        self.key = key
        self.listener = listener


class Sampler:
    """Between start() and stop(), takes one sample of each container every `interval_s` seconds, however many look at it.

    The thread `lab-stats` exists only while there are subscriptions, and ends with the main thread. Thread-safe.
    """

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = False
        self._sources: dict[str, Source] = {}
        self._previous: dict[str, StatsSample] = {}
        self._subscriptions: list[Subscription] = []

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
            thread, self._thread = self._thread, None
            self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def subscribe(self, key: str, source: Source, listener: Listener) -> Subscription:
        """Look at the container `key`: `listener` gets each sample, in the sampler's thread, and None when there will be no more.

        `source` makes the next sample from the one before, and raises LabError when the container does not run any more; of
        several subscriptions with one key the last source is used. What a listener raises is logged and stops nobody.
        """
        subscription = Subscription(key, listener)
        with self._lock:
            self._sources[key] = source
            self._subscriptions.append(subscription)
            self._run_if_wanted()
            self._wake.set()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Look no more. With the last one the thread ends. Idempotent."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
            self._forget_unseen()
            if not self._subscriptions:
                self._wake.set()

    def _forget_unseen(self) -> None:
        seen = {subscription.key for subscription in self._subscriptions}
        self._sources = {key: source for key, source in self._sources.items() if key in seen}
        self._previous = {key: sample for key, sample in self._previous.items() if key in seen}

    def _run_if_wanted(self) -> None:
        if self._started and self._subscriptions and self._thread is None:
            self._wake.clear()
            # Not a daemon: it ends by itself with the main thread, in the middle of nothing.
            self._thread = threading.Thread(target=self._run, name="lab-stats", daemon=False)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if threading.current_thread() is not self._thread:
                    return
                if not self._subscriptions or not threading.main_thread().is_alive():
                    self._thread = None
                    return
                self._wake.clear()
                keys = list(self._sources)
            for key in keys:
                self._sample(key)
            self._wake.wait(self._interval_s)

    def _sample(self, key: str) -> None:
        with self._lock:
            source, previous = self._sources.get(key), self._previous.get(key)
        if source is None:
            return
        try:
            taken = source(previous)
        except (LabError, OSError):
            taken = None
        with self._lock:
            listeners = [subscription for subscription in self._subscriptions if subscription.key == key]
            if taken is not None and listeners:
                self._previous[key] = taken
            elif taken is None and self._sources.get(key) is source:
                self._subscriptions = [subscription for subscription in self._subscriptions if subscription.key != key]
                self._forget_unseen()
        for subscription in listeners:
            try:
                subscription.listener(taken)
            except Exception:
                logging.getLogger(__name__).exception("a listener of statistics failed")
