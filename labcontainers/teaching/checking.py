"""`check(name, …)`: finds the function of an exercise, gives it what it looks at, and never fails for a student's mistake.

It must not know what a lesson asks for: each has its module `lesson_NN`, whose public functions are its checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from labcontainers.containers.container import Container
from labcontainers.errors import InvalidArgument, LabError, NotFound
from labcontainers.session import current_engine
from labcontainers.teaching.outcome import Outcome, not_yet

Check = Callable[..., Outcome]

_WORDS: dict[type, str] = {Container: "a container, or the name of one", int: "a process id, a number", str: "a text"}
_LONGEST = 60


def check(name: str, *subjects: Any) -> Outcome:
    """Whether the exercise `name`, such as "06.memory", is solved by what `subjects` are: containers (or their names), process ids.

    It looks at the kernel's state and the engine's records, never at what was typed. What is wrong with the subjects, or is gone
    meanwhile, is "not yet" and tells why. Raises NotFound for a name that no lesson has.
    """
    function = _function(name)
    try:
        outcome = function(*_fitting(function, subjects))
    except LabError as error:
        outcome = not_yet(f"{error.message[:1].upper()}{error.message[1:]}.", error.hint)
    except OSError as error:
        outcome = not_yet(f"{error.filename or 'The process'} cannot be read: {error.strerror}.", "is the process still running?")
    return replace(outcome, name=name)


def names() -> tuple[str, ...]:
    """The names of all checks, in the order of the lessons."""
    lessons = sorted(path.stem for path in Path(__file__).parent.glob("lesson_*.py"))
    return tuple(f"{lesson.removeprefix('lesson_')}.{name}" for lesson in lessons for name in _checks(lesson))


def _checks(lesson: str) -> dict[str, Check]:
    """The public functions that the module defines itself."""
    module = import_module(f"labcontainers.teaching.{lesson}")
    found = vars(module).items()
    return {name: one for name, one in found if inspect.isfunction(one) and one.__module__ == module.__name__ and not name.startswith("_")}


def _function(name: str) -> Check:
    if name not in names():
        raise NotFound(f"there is no check {name!r}", f"checks are {', '.join(names())}")
    lesson, _, exercise = name.partition(".")
    return _checks(f"lesson_{lesson}")[exercise]


def _fitting(function: Check, subjects: Sequence[Any]) -> list[Any]:
    """The subjects as the function takes them: a name becomes its container. Raises InvalidArgument and NotFound."""
    wanted = [one.name for one in inspect.signature(function).parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    if len(subjects) != len(wanted):
        raise InvalidArgument(f"this check looks at {len(wanted)} things ({', '.join(wanted)}), and was given {len(subjects)}")
    types = get_type_hints(function)
    return [_one(types[name], subject) for name, subject in zip(wanted, subjects, strict=True)]


def _one(wanted: type, subject: Any) -> Any:
    if wanted is Container and isinstance(subject, str):
        try:
            return current_engine().containers.get(subject)
        except NotFound as error:
            raise NotFound(error.message, f"start one with `--name {subject}`; `%container ps -a` lists all that there are") from None
    if isinstance(subject, wanted) and not isinstance(subject, bool):
        return subject
    shown = repr(subject)[:_LONGEST]
    raise InvalidArgument(
        f"this check looks at {_WORDS.get(wanted, wanted.__name__)}, and was given {shown}", "fill in the cell above first"
    )
