"""A store for one process alone: nothing of others is in it, and nothing of it is left, however the process ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import session
from labcontainers.engine.fresh_store import FreshStore
from labcontainers.errors import Denied

pytestmark = pytest.mark.alike("ordinary users")

STAYS = """
import os, signal, sys
from pathlib import Path
from labcontainers import Engine
from labcontainers.engine.fresh_store import FreshStore
FreshStore(Path(sys.argv[1]))
with Engine() as engine:
    print(engine.containers.run("lab/base", ["sleep", "600"], detach=True, network="none").state.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def usual(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The usual store, which is not to be touched."""
    monkeypatch.setenv("LABCONTAINERS_ROOT", str(place / "usual"))
    monkeypatch.delenv("LABCONTAINERS_RUN", raising=False)
    yield place / "usual"
    assert not list(place.glob("usual*"))


def test_the_session_begins_without_anything_and_leaves_nothing(usual: Path) -> None:
    session.place(fresh=True)
    engine = session.current_engine()
    assert engine.paths.root.parent == usual.parent
    assert not engine.images.list()
    running = engine.containers.run(
        "lab/base", ["sh", "-c", "chown 1:1 /tmp || :; sleep 600"], detach=True, network="none", volumes=["/data"]
    )
    pid = running.state.pid
    program = [sys.executable, "-m", "labcontainers", "ps", "--quiet", "--no-trunc"]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout.split() == [running.id]
    session.close()
    session.place()
    assert not os.path.exists(f"/proc/{pid}")
    assert os.environ["LABCONTAINERS_ROOT"] == str(usual)
    assert "LABCONTAINERS_RUN" not in os.environ


def test_two_have_nothing_in_common_and_neither_takes_the_other_away(usual: Path) -> None:
    first, second = FreshStore(usual), FreshStore(usual)
    assert first.root != second.root
    assert first.root.is_dir()
    second.remove()
    assert first.root.is_dir()
    first.remove()


def test_what_a_killed_process_left_is_removed_by_the_next(usual: Path) -> None:
    done = subprocess.run([sys.executable, "-c", STAYS, str(usual)], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    assert os.path.exists(f"/proc/{pid}")
    FreshStore(usual).remove()
    assert not os.path.exists(f"/proc/{pid}")


def test_where_nothing_can_be_made_it_says_what_to_set() -> None:
    with pytest.raises(Denied, match="cannot make a store beside /dev/null/store") as raised:
        FreshStore(Path("/dev/null/store"))
    assert "fresh_store" in raised.value.hint
