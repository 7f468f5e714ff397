"""Tasks of a graph: what needs what, how many at a time, and every way of ending early; and steps that are equal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from labcontainers.build.cancelling import BoundWorker, Cancel
from labcontainers.build.once import Made, Once
from labcontainers.build.solver import OTHER_FAILED, Solver
from labcontainers.errors import Cancelled, NotFound, raise_interrupt, signal_of
from tests.waiting import until


def nobody(said: object) -> None:
    """Nobody hears."""


def building() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lab-build")]


class TestOrder:
    def test_a_task_begins_when_all_that_it_needs_is_done(self) -> None:
        done: list[int] = []
        Solver[None]({1: [], 2: [1], 3: [1], 4: [2, 3, 3]}, 3, done.append, Cancel()).run(nobody)
        assert (done[0], sorted(done[1:3]), done[3:]) == (1, [2, 3], [4])
        assert building() == []

    def test_tasks_that_need_each_other_not_are_done_at_the_same_time(self) -> None:
        met = threading.Barrier(3)
        Solver[None]({1: [], 2: [], 3: [], 4: [1, 2, 3]}, 3, lambda task: met.wait(60) if task < 4 else None, Cancel()).run(nobody)

    def test_one_at_a_time_goes_by_the_numbers(self) -> None:
        done: list[int] = []
        Solver[None]({5: [], 1: [], 4: [1], 2: [5], 3: []}, 1, done.append, Cancel()).run(nobody)
        assert done == [1, 3, 4, 5, 2]

    def test_no_more_threads_are_started_than_there_is_work_for(self) -> None:
        names: set[str] = set()
        chain = {task: [task - 1] if task else [] for task in range(20)}
        Solver[None](chain, 4, lambda task: names.add(threading.current_thread().name), Cancel()).run(nobody)
        assert len(names) <= 2

    def test_nothing_to_do_is_done(self) -> None:
        Solver[None]({}, 2, nobody, Cancel()).run(nobody)


class TestHearing:
    def test_what_tasks_say_is_heard_in_the_callers_thread_one_after_the_other(self) -> None:
        heard: list[tuple[int, int]] = []
        threads: set[int] = set()
        solver: Solver[tuple[int, int]]

        def do(task: int) -> None:
            for number in range(300):
                solver.tell((task, number))

        def hear(said: tuple[int, int]) -> None:
            threads.add(threading.get_ident())
            heard.append(said)

        solver = Solver({1: [], 2: []}, 2, do, Cancel())
        solver.run(hear)
        assert threads == {threading.get_ident()}
        assert [said for said in heard if said[0] == 1] == [(1, number) for number in range(300)]
        assert len(heard) == 600

    def test_a_listener_that_fails_stops_all(self) -> None:
        cancel = Cancel()
        solver: Solver[int]

        def do(task: int) -> None:
            while True:
                cancel.check()
                solver.tell(task)

        def hear(said: int) -> None:
            raise BrokenPipeError(said)

        solver = Solver({1: [], 2: []}, 2, do, cancel)
        with pytest.raises(BrokenPipeError):
            solver.run(hear)
        assert building() == []


class TestEnds:
    def test_the_first_that_fails_stops_the_others_and_is_told(self) -> None:
        cancel, begun, stopped, done = Cancel(), threading.Event(), threading.Event(), list[int]()

        def do(task: int) -> None:
            if task == 2:
                begun.wait()
                raise NotFound("the reason")
            if task == 1:
                with cancel.stopping(stopped.set):
                    begun.set()
                    stopped.wait()
                    cancel.check()
            done.append(task)

        with pytest.raises(NotFound, match="the reason"):
            Solver[None]({1: [], 2: [], 3: [1], 4: [2]}, 2, do, cancel).run(nobody)
        assert (done, cancel.reason, building()) == ([], OTHER_FAILED, [])

    def test_cancel_from_another_thread_stops_what_runs_and_begins_nothing(self) -> None:
        cancel, stopped, done = Cancel(), threading.Event(), list[int]()

        def do(task: int) -> None:
            with cancel.stopping(stopped.set):
                other = threading.Thread(target=cancel.cancel)
                other.start()
                stopped.wait()
                other.join()
            done.append(task)

        with pytest.raises(Cancelled, match="cancelled"):
            Solver[None]({1: [], 2: [1]}, 2, do, cancel).run(nobody)
        assert done == [1]

    def test_cancel_before_the_begin_begins_nothing(self) -> None:
        cancel, done = Cancel(), list[int]()
        assert cancel.cancel()
        assert not cancel.cancel("again")
        with pytest.raises(Cancelled):
            Solver[None]({1: []}, 2, done.append, cancel).run(nobody)
        assert (done, cancel.reason) == ([], "cancelled")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_stops_all_and_is_raised_when_they_have_ended(self, number: signal.Signals) -> None:
        cancel, stopped, ended, both = Cancel(), threading.Event(), list[int](), threading.Barrier(2)

        def do(task: int) -> None:
            with cancel.stopping(stopped.set):
                both.wait()
                if task == 1:
                    os.kill(os.getpid(), number)
                stopped.wait()
            ended.append(task)
            cancel.check()

        former = signal.signal(signal.SIGTERM, raise_interrupt)
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                Solver[None]({1: [], 2: []}, 2, do, cancel).run(nobody)
        finally:
            signal.signal(signal.SIGTERM, former)
        assert signal_of(caught.value) == number
        assert (sorted(ended), building()) == ([1, 2], [])

    def test_an_interrupt_that_is_raised_in_the_listener_stops_all(self) -> None:
        cancel = Cancel()
        solver: Solver[int]

        def do(task: int) -> None:
            solver.tell(task)
            until(lambda: cancel.cancelled, "it is cancelled")
            cancel.check()

        def hear(said: int) -> None:
            raise KeyboardInterrupt

        solver = Solver({1: []}, 1, do, cancel)
        with pytest.raises(KeyboardInterrupt):
            solver.run(hear)


class TestEqualSteps:
    def test_who_comes_while_it_is_made_waits_and_has_the_same(self) -> None:
        once, inside, go = Once(), threading.Event(), threading.Event()
        found: list[tuple[Made, bool]] = []

        def make() -> Made:
            inside.set()
            go.wait()
            return Made(None, anew=True)

        def never() -> Made:
            raise AssertionError("it was made twice")

        def take(what: Callable[[], Made]) -> threading.Thread:
            thread = threading.Thread(target=lambda: found.append(once.do("key", what)))
            thread.start()
            return thread

        first = take(make)
        inside.wait()
        second = take(never)
        go.set()
        first.join()
        second.join()
        (one, here), (other, there) = sorted(found, key=lambda entry: not entry[1])
        assert (one is other, here, there) == (True, True, False)

    def test_who_waits_for_one_that_fails_is_cancelled(self) -> None:
        once = Once()

        def fail() -> Made:
            raise NotFound("no")

        with pytest.raises(NotFound):
            once.do("key", fail)
        with pytest.raises(Cancelled):
            once.do("key", fail)


class TestWorkers:
    def test_work_is_stopped_where_the_worker_can(self) -> None:
        cancel, said = Cancel(), list[str]()

        class Errand:
            def result(self) -> str:
                cancel.cancel()
                said.append("result")
                return "end"

            def stop(self) -> None:
                said.append("stop")

        class Worker:
            def call(self, function: str, /, **arguments: object) -> str:
                raise AssertionError

            def begin_bound(self, function: str, /, **arguments: object) -> Errand:
                said.append(function)
                return Errand()

        worker = BoundWorker(Worker(), cancel)
        assert worker.call("a:b") == "end"
        assert said == ["a:b", "stop", "result"]
        with pytest.raises(Cancelled):
            worker.call("a:b")
