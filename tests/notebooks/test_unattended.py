"""Notebooks that nobody looks at: executed by papermill with parameters, converted by nbconvert, and graded as nbgrader does it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from scripts.lesson import store_of_its_own, with_this_python
from tests.conftest import can_limit

VIEW = "application/vnd.jupyter.widget-view+json"
# the client of the kernel keeps threads and sockets in this process
pytestmark = [pytest.mark.may_leak("threads", "descriptors"), pytest.mark.timeout(300), pytest.mark.alike("ordinary users")]

PARAMETERS = 'memory = "32m"\nname = "job"\nwords = ["a"]'
CELLS = [
    "%load_ext labcontainers",
    "%%dockerfile -t unattended\nFROM lab/base\nRUN echo built > /built",
    "%container run -d --name {name} -m {memory} --network none lab/base sleep 1000",
    "%%in {name}\necho in $(pwd)",
    "%container processes {name}",
    "%container cgroup {name}",
    "%container dashboard",
    "%container explain {name}",
    "%container image explore unattended",
    "%container save -o {name}.tar unattended\n%container load -i {name}.tar",
    "result = %container run --rm --network none lab/base echo {words[0]} $memory\nresult.stdout",
    "%container rm -f {name}",
]
BUILD = "%%dockerfile -t hello\nFROM lab/base\nRUN echo hi > /greeting\nCMD cat /greeting"
GREETS = "from labcontainers.session import current_engine\ncurrent_engine().containers.run('hello', network='none').stdout"


def notebook(*cells: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def shown(executed: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of a process whose kernels have a store of their own."""
    with store_of_its_own() as environment:
        yield with_this_python({**os.environ, **environment})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A notebook with parameters that uses every magic which has a widget."""
    made = notebook(PARAMETERS, *CELLS)
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, tmp_path / "in.ipynb")
    return tmp_path / "in.ipynb"


def test_papermill_fills_in_its_parameters_and_keeps_text_and_html_alone(
    file: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    parameters = {"memory": "48m", "name": "other", "words": ["x y", "z"]}
    executed = papermill.execute_notebook(file, file.with_name("out.ipynb"), parameters, cwd=file.parent, progress_bar=False)
    results = [output.data for output in shown(executed) if "data" in output]
    assert not [data for data in results if VIEW in data]
    assert "'x y 48m\\n'" in [data["text/plain"] for data in results]
    words_of_each = [
        "<Build unattended:latest", "<Container other (", "other: 2 processes", "pivot_root", "image unattended:latest",
        "Loaded image: unattended", *(["pids.max"] if can_limit() else []),
    ]  # fmt: skip
    for words in words_of_each:
        assert any(words in data["text/plain"] for data in results), words
    assert "widgets" not in executed.metadata


def test_papermill_stops_with_two_lines_and_no_traceback_of_ours(
    file: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    nbformat.write(notebook("%load_ext labcontainers", "%container logs nobody"), file)
    with pytest.raises(papermill.PapermillExecutionError) as raised:
        papermill.execute_notebook(file, file.with_name("out.ipynb"), progress_bar=False)
    assert "NotFound: no such container: nobody" in str(raised.value)
    assert "labcontainers/" not in str(raised.value)


def test_nbconvert_makes_a_page_that_needs_no_widgets(file: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = file.with_suffix(".html").read_text()
    assert "built" in page
    assert "pivot_root" in page
    assert VIEW not in page


def graded(environment: dict[str, str], *cells: str) -> list[str]:
    """What a submission shows and fails with, executed as nbgrader does (nbgrader.converters.autograde): errors do not stop it."""
    submission = notebook("%load_ext labcontainers", *cells)
    client = NotebookClient(submission, kernel_name="python3", allow_errors=True, timeout=120, store_widget_state=False)
    client.execute(env={**environment, "NBGRADER_EXECUTION": "autograde"})
    texts = [output.get("evalue") or output.get("text") or output["data"]["text/plain"] for output in shown(submission)]
    assert not [output for output in shown(submission) if VIEW in output.get("data", {})]
    return texts


def test_a_submission_is_not_graded_by_what_another_has_made(environment: dict[str, str]) -> None:
    running = "%container run -d --name small --network none lab/base sleep 600"
    solved = graded(environment, BUILD, GREETS, running)
    assert "'hi\\n'" in solved
    assert any("<Container small" in text for text in solved)
    untouched = graded(environment, GREETS, "%container ps -a", running)
    assert "hello" in untouched[0]
    assert "'hi\\n'" not in untouched
    # the name is free, since the first one has its own
    assert any("<Container small" in text for text in untouched)


def test_what_a_submission_made_is_gone_with_its_kernel(environment: dict[str, str]) -> None:
    (pid,) = graded(environment, "c = %container run -d --network none lab/base sleep 600", "print(c.state.pid)")
    assert not Path(f"/proc/{int(pid)}").exists()
    root = Path(environment["LABCONTAINERS_ROOT"])
    assert not list(root.parent.glob(f"{root.name}*"))


def test_a_teacher_may_want_the_usual_store(environment: dict[str, str]) -> None:
    setting = '%config LabContainers.fresh_store = "off"'
    assert "'hi\\n'" in graded(environment, setting, BUILD, GREETS)
    assert graded(environment, setting, GREETS) == ["'hi\\n'"]


def test_without_a_grader_a_failing_check_stops_the_notebook(environment: dict[str, str]) -> None:
    cells = notebook("%load_ext labcontainers", "from labcontainers.teaching import check\nassert check('06.memory', 'nobody')")
    with pytest.raises(CellExecutionError, match="AssertionError"):
        NotebookClient(cells, kernel_name="python3", timeout=120).execute(env=environment)
