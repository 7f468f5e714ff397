"""Autopsies of containers that really died: by their program, by a signal, for want of a program or of memory."""

from __future__ import annotations

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.autopsy import Autopsy
from labcontainers.containers.container import Container
from labcontainers.errors import StartFailed
from labcontainers.widgets.source import ContainerSource

pytestmark = pytest.mark.alike("ordinary users")

NONE = {"network": "none"}


def dead(engine: Engine, *script: str, **options: object) -> Container:
    container = engine.containers.run("lab/base", ["sh", "-c", *script], name="it", detach=True, **NONE, **options)
    container.wait()
    return container


def test_a_programs_own_failure(engine: Engine) -> None:
    container = dead(engine, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exit 3")
    found = container.autopsy()
    assert (found.exit_code, found.died, found.lines[0], found.lines[-1]) == (3, True, "line 3", "line 12")
    assert found.started_at is not None
    assert found.finished_at is not None
    assert found.explanation == ""
    assert "exit code 3; %container autopsy it tells more" in container._repr_html_()
    assert "%container autopsy it tells more" in ContainerSource(container).state()["error"]
    told = execute(lambda: engine, understand(["autopsy", "it"]))
    assert isinstance(told, Autopsy)
    assert "labcontainers start -a it" in repr(told)
    assert repr(execute(lambda: engine, understand(["container", "autopsy", "it"]))) == repr(told)
    container.remove()


def test_a_kill_is_told_from_one_by_somebody_else(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "1000"], name="it", detach=True, **NONE)
    container.kill()
    container.wait()
    assert 9 in container.autopsy().signals
    assert "of this engine sent it" in container.autopsy().explanation
    # who stopped it need not be told that it has died
    assert ContainerSource(container).state()["error"] == ""
    container.remove()
    other = dead(engine, "kill -SEGV $$ || exit 139; sleep 0.1; exit 139")
    assert "SIGSEGV" in other.autopsy().explanation
    other.remove()


def test_what_is_not_there(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["nosuch"], name="it", **NONE)
    with pytest.raises(StartFailed):
        container.start()
    found = container.autopsy()
    assert "could not be started" in found.verdict
    assert "nosuch" in found.explanation
    container.remove()


def test_restarts_are_counted(engine: Engine) -> None:
    container = dead(engine, "exit 4", restart_policy={"Name": "on-failure", "MaximumRetryCount": 1})
    container.wait()
    found = container.autopsy()
    assert (found.restart_policy, found.exit_code) == ("on-failure:1", 4)
    container.remove(force=True)


@pytest.mark.needs("cgroups")
def test_a_lack_of_memory_with_limit_and_peak(engine: Engine) -> None:
    container = dead(engine, "x=a; while :; do x=$x$x; done", mem_limit="16m", memswap_limit="16m")
    found = container.autopsy()
    assert found.oom_killed
    assert found.memory_limit_bytes == 16 << 20
    assert found.memory_peak_bytes is None or 0 < found.memory_peak_bytes <= 17 << 20
    assert found.next_steps[0] == "%container update --memory 32m --memory-swap 32m it"
    container.remove()
