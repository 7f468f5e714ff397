"""`c.LabContainers.…` and `%config LabContainers.…`: each setting has its effect, and what cannot be is refused in one line."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.error import UsageError

from labcontainers import session
from labcontainers.errors import Conflict, ContainerExit
from labcontainers.magics import extension
from labcontainers.magics.display import shows_widgets
from labcontainers.magics.settings import LabContainers, settings, somebody_looks
from tests.fakes.engine import FakeEngine, run_result
from tests.unit.magics.conftest import Notebook

TRAITS = [
    "colours", "cpus", "fresh_store", "memory", "network", "output_limit", "pids_limit", "raise_on_exit", "root", "run_root", "timeout_s",
    "widgets",
]  # fmt: skip


def asked_options(engine: FakeEngine) -> dict[str, Any]:
    options = engine.asked[-1][3]
    assert isinstance(options, dict)
    return {key: value for key, value in options.items() if key != "keep_output"}


def test_config_lists_every_setting_with_its_help(notebook: Notebook) -> None:
    shown = notebook.run("%config LabContainers").stdout
    for name in TRAITS:
        assert f"LabContainers.{name}=" in shown
    assert shown.count("Current: ") == len(TRAITS)
    helps = [trait.help for trait in LabContainers.class_own_traits(config=True).values()]
    assert all(helps)
    assert len(helps) == len(TRAITS)
    assert "LabContainers" in notebook.run("%config").stdout


def test_a_configuration_file_is_heeded_and_unloading_forgets_it(shell: Any, engine: FakeEngine) -> None:
    shell.config.LabContainers.memory = "64m"
    shell.config.LabContainers.raise_on_exit = False
    extension.load(shell)
    notebook = Notebook(shell)
    engine.answer = run_result(3)
    notebook.run("result = %container run lab/base false")
    assert notebook.names["result"].exit_code == 3
    assert asked_options(engine) == {"mem_limit": "64m"}
    extension.unload(shell)
    assert settings(shell).memory == ""


@pytest.mark.parametrize(("name", "value"), [("memory", "lots"), ("widgets", "maybe"), ("network", ""), ("network", "no such")])
def test_a_wrong_configuration_file_is_told_in_one_line(shell: Any, engine: FakeEngine, name: str, value: str) -> None:
    shell.config.LabContainers[name] = value
    if value == "":
        extension.load(shell)
        extension.unload(shell)
        return
    with pytest.raises(UsageError) as raised:
        extension.load(shell)
    assert "\n" not in str(raised.value)
    assert name in str(raised.value)
    assert not any(type(one) is LabContainers for one in shell.configurables)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('widgets = "maybe"', "'widgets' trait"),
        ('memory = "lots"', "memory: "),
        ("cpus = -1", "'cpus' trait"),
        ("pids_limit = -5", "'pids_limit' trait"),
        ("output_limit = -1", "'output_limit' trait"),
        ("timeout_s = -1", "'timeout_s' trait"),
        ('raise_on_exit = "never"', "'raise_on_exit' trait"),
        ('root = "/etc/passwd"', "root: not a folder: /etc/passwd"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_and_the_old_one_stays(
    notebook: Notebook, caplog: pytest.LogCaptureFixture, statement: str, words: str
) -> None:
    name = statement.partition(" ")[0]
    before = getattr(settings(notebook.shell), name)
    with caplog.at_level(logging.ERROR):
        notebook.run(f"%config LabContainers.{statement}")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert words in told[0]
    assert "\n" not in told[0]
    assert getattr(settings(notebook.shell), name) == before


def test_limits_are_those_of_new_containers_where_no_flag_is_given(notebook: Notebook, engine: FakeEngine) -> None:
    notebook.run('%config LabContainers.memory = "64m"')
    notebook.run("%config LabContainers.cpus = 0.5")
    notebook.run("%config LabContainers.pids_limit = 20")
    notebook.run('%config LabContainers.network = "none"')
    notebook.run("%container run lab/base true")
    assert asked_options(engine) == {"mem_limit": "64m", "cpus": "0.5", "pids_limit": "20", "network": "none"}
    notebook.run("%container run -m 1g --cpus 2 --pids-limit -1 --network host lab/base true")
    assert asked_options(engine) == {"mem_limit": "1g", "cpus": "2", "pids_limit": "-1", "network": "host"}
    notebook.run("%container run --cpu-quota 5000 lab/base true")
    assert "cpus" not in asked_options(engine)


def test_raise_on_exit_is_what_no_raise_says(notebook: Notebook, engine: FakeEngine) -> None:
    engine.answer = run_result(3)
    notebook.run("%container run lab/base false")
    assert isinstance(notebook.error, ContainerExit)
    notebook.run("%config LabContainers.raise_on_exit = False")
    notebook.run("%container run lab/base false")
    assert notebook.error is None


def test_a_limit_of_time_is_that_of_what_is_waited_for(notebook: Notebook, engine: FakeEngine) -> None:
    notebook.run("%config LabContainers.timeout_s = 2.5")
    notebook.run("%container run lab/base true")
    assert asked_options(engine) == {"timeout_s": 2.5}
    notebook.run("%container run --timeout 1m lab/base true")
    assert asked_options(engine) == {"timeout_s": 60.0}
    notebook.run("%container run --timeout 0 lab/base true")
    assert asked_options(engine) == {}
    notebook.run("%container run -d lab/base true")
    assert notebook.error is None
    assert asked_options(engine) == {"detach": True}


def test_the_output_limit_is_that_of_a_cell(notebook: Notebook, engine: FakeEngine) -> None:
    engine.writes = [(1, b"0123456789")]
    notebook.run("%config LabContainers.output_limit = 4")
    shown = notebook.run("%container run lab/base true")
    assert shown.stdout.startswith("0123")
    assert "456" not in shown.stdout
    assert "6 more bytes" in shown.stderr


def test_errors_have_colours_as_wanted(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    escape = "\x1b["
    assert escape not in notebook.run("%container run").stdout  # this shell has none itself
    notebook.run('%config LabContainers.colours = "on"')
    assert escape in notebook.run("%container run").stdout
    notebook.run('%config LabContainers.colours = "off"')
    assert escape not in notebook.run("%container run").stdout
    plain = SimpleNamespace(colors="linux")
    assert LabContainers().paints(plain)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not LabContainers().paints(plain)


class TestPlaces:
    """Where the store is, can be said until the engine is used."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
        made: list[tuple[object, object]] = []

        def engine(root: object = None, run_root: object = None) -> FakeEngine:
            made.append((root, run_root))
            return FakeEngine()

        monkeypatch.setattr(session, "Engine", engine)
        return made

    def test_it_is_made_there(self, shell: Any, made: list[tuple[object, object]], tmp_path: Path) -> None:
        shell.config.LabContainers.root = str(tmp_path / "store")
        shell.config.LabContainers.run_root = str(tmp_path / "run")
        extension.load(shell)
        session.current_engine()
        extension.unload(shell)
        assert set(made) == {(str(tmp_path / "store"), str(tmp_path / "run"))}
        session.current_engine()
        session.close()
        assert made[-1] == (None, None)

    def test_it_can_be_said_while_the_engine_was_only_warmed_up(
        self, shell: Any, made: list[tuple[object, object]], tmp_path: Path
    ) -> None:
        extension.load(shell)
        session.warm_up()
        first = session.existing_engine()
        settings(shell).root = str(tmp_path)
        assert first is not None
        assert first.closed
        session.current_engine()
        assert made[-1] == (str(tmp_path), None)
        extension.unload(shell)

    def test_it_cannot_be_said_once_the_engine_was_used(
        self, notebook: Notebook, engine: FakeEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        notebook.run("%container run lab/base true")
        notebook.run(f'%config LabContainers.root = "{tmp_path}"')
        assert "the engine runs already" in caplog.text
        assert "restart the kernel" in caplog.text
        assert settings(notebook.shell).root == ""
        assert session.existing_engine() is engine
        with pytest.raises(Conflict):
            session.place(str(tmp_path))


def sent(allow_stdin: bool) -> SimpleNamespace:
    """A shell in the middle of a cell that was sent so."""
    return SimpleNamespace(kernel=object(), parent_header={"content": {"allow_stdin": allow_stdin}})


class TestWidgets:
    """Live widgets are shown where somebody can use them."""

    @pytest.fixture(autouse=True)
    def plain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NBGRADER_EXECUTION", "SERVER_SOFTWARE", "LABCONTAINERS_WIDGETS"):
            monkeypatch.delenv(name, raising=False)

    def test_a_client_that_cannot_be_asked_has_nobody_at_it(self) -> None:
        assert somebody_looks(sent(True))
        assert not somebody_looks(sent(False))
        assert somebody_looks(SimpleNamespace(parent_header={}))

    def test_graders_have_nobody_and_voila_has_readers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.8")
        assert somebody_looks(sent(False))
        monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
        assert not somebody_looks(sent(True))

    def test_the_setting_is_stronger_than_the_variable_and_this_than_what_is_guessed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chosen = LabContainers()
        assert chosen.wants_widgets(sent(True))
        for said, wanted in (("0", False), ("off", False), ("1", True), ("on", True)):
            monkeypatch.setenv("LABCONTAINERS_WIDGETS", said)
            assert chosen.wants_widgets(sent(not wanted)) is wanted
        chosen.widgets = "off"
        assert not chosen.wants_widgets(sent(True))
        chosen.widgets = "on"
        monkeypatch.setenv("LABCONTAINERS_WIDGETS", "off")
        assert chosen.wants_widgets(sent(False))

    def test_a_terminal_has_none_whatever_is_said(self, notebook: Notebook) -> None:
        notebook.run('%config LabContainers.widgets = "on"')
        assert not shows_widgets()
