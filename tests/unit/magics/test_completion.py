"""What may come next, as IPython's completer is told it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

from labcontainers import session
from labcontainers.build.drafts import DRAFTS
from labcontainers.commands.table import COMMANDS
from labcontainers.magics.completion import candidates
from labcontainers.magics.names import KINDS
from labcontainers.store.records import ContainerRow, Records
from tests.fakes.engine import FakeEngine
from tests.unit.magics.conftest import Notebook

IMAGES = {"lab/base", "lab/python", "me/app:1", "redis"}
CONTAINERS = {"web-1", "web-2", "db"}
RUN_FLAGS = {name for flag in COMMANDS["run"].flags for name in flag.names} | {"--out", "--help"}

OFFERED = [
    ("%container ", {name.split(" ")[0] for name in COMMANDS}),
    ("%container volume ", {"create", "ls", "list", "inspect", "rm", "remove", "prune"}),
    ("%container volume rm d", {"data", "db-data"}),
    ("%container r", {"run", "rename", "restart", "rm", "rmi", "rollback"}),
    ("x = %container ru", {"run"}),
    ("a, b = %container ru", {"run"}),
    ("%%container ru", {"run"}),
    ("%container help in", {"info", "inspect"}),
    ("%container run -", RUN_FLAGS),
    ("%container run --pi", {"--pid", "--pids-limit"}),
    ("%container run -d --rm ", IMAGES),
    ("%container run me/a", {"me/app:1"}),
    ("%container run me/app:", {"me/app:1"}),
    ("%container run --network ", {"bridge", "none", "host", "my-net", "container:"}),
    ("%container run --network=my", {"--network=my-net"}),
    ("%container run --network container:w", {"container:web-1", "container:web-2"}),
    ("%container run --restart ", {"no", "always", "unless-stopped", "on-failure"}),
    ("%container run --restart=u", {"--restart=unless-stopped"}),
    ("%container run --pull ", {"missing", "always", "never"}),
    ("%container run --log-driver ", {"local", "json-file", "none"}),
    ("%container build --progress ", {"auto", "plain", "tty", "rawjson", "quiet", "none"}),
    ("%container pull --platform linux/am", {"linux/amd64"}),
    ("%container pull --platform linux/arm", {"linux/arm64", "linux/arm/v7"}),
    ("%container kill -s HU", {"HUP"}),
    ("%container kill --signal=SIGHU", {"--signal=SIGHUP"}),
    ("%container stop -s QU", {"QUIT"}),
    ("%container wait --condition n", {"not-running", "next-exit"}),
    ("%container run --mount ", {"type="}),
    ("%container run --mount type=", {"type=bind", "type=volume", "type=tmpfs", "type=image"}),
    ("%container run --mount type=tm", {"type=tmpfs"}),
    ("%container run --mount type=volume,source=d", {"type=volume,source=data", "type=volume,source=db-data"}),
    ("%container run --mount type=tmpfs,ta", {"type=tmpfs,target="}),
    ("%container run -v db", {"db-data"}),
    ("%container run \\\n  --rm \\\n  lab/b", {"lab/base"}),
    ("%container ru", {"run"}),
    ("%container run --network=n", {"--network=none"}),
    ("%container run -d --network none lab/b", {"lab/base"}),
    ("%container exec ", CONTAINERS),
    ("%container exec we", {"web-1", "web-2"}),
    ("%container stop db we", {"web-1", "web-2"}),
    ("%container logs -f we", {"web-1", "web-2"}),
    ("%container logs --ta", {"--tail"}),
    ("%container inspect ", CONTAINERS | IMAGES | {"data", "db-data", "bridge", "none", "host", "my-net"}),
    ("%container container ls --a", {"--all"}),
    ("%container rmi red", {"redis"}),
    ("%%in ", CONTAINERS),
    ("%in we", {"web-1", "web-2"}),
    ("x = %in --lang python d", {"db"}),
    ("%%in --lang ", {"sh", "bash", "python", "node"}),
    ("%%in --lang=p", {"--lang=python"}),
    ("%%in --pu", {"--push", "--pull"}),
    ("%%dockerfile --ta", {"--tag", "--target"}),
    ("%%dockerfile --app", {"--append"}),
    ("%%dockerfile -t x\nFROM lab/p", {"lab/python"}),
    ("%%dockerfile -t x\nFROM lab/base\nWO", {"WORKDIR"}),
    ("%%dockerfile -t x\nen", {"ENV", "ENTRYPOINT"}),
    ("%%dockerfile -t x\nMA", {"MAINTAINER"}),
    ("%%dockerfile -t x\nONBUILD WO", {"WORKDIR"}),
    ("%%dockerfile -t x\nFROM lab/base ", {"AS"}),
    ("%%dockerfile -t x\nFROM --pl", {"--platform="}),
    ("%%dockerfile -t x\nFROM lab/base AS tools\nFROM to", {"tools"}),
    ("%%dockerfile -t x\nFROM lab/base AS tools\nFROM lab/base\nCOPY --from=", {"--from=tools"} | {f"--from={name}" for name in IMAGES}),
    ("%%dockerfile -t x --build-context other=.\nFROM lab/base\nCOPY --from=o", {"--from=other"}),
    ("%%dockerfile -t x\nFROM lab/base\nCOPY --ch", {"--chown=", "--chmod="}),
    ("%%dockerfile -t x\nFROM lab/base\nCOPY --link --fr", {"--from="}),
    ("%%dockerfile -t x\nFROM lab/base\nADD --che", {"--checksum="}),
    ("%%dockerfile -t x\nFROM lab/base\nRUN --", {"--mount=", "--network=", "--security=", "--device="}),
    ("%%dockerfile -t x\nFROM lab/base\nRUN --network=n", {"--network=none"}),
    ("%%dockerfile -t x\nFROM lab/base\nRUN --mount=type=s", {"--mount=type=secret", "--mount=type=ssh"}),
    ("%%dockerfile -t x\nFROM lab/base\nRUN --mount=type=cache,sh", {"--mount=type=cache,sharing="}),
    ("%%dockerfile -t x\nFROM lab/base AS it\nRUN --mount=type=bind,from=i", {"--mount=type=bind,from=it"}),
    ("%%dockerfile -t x\nFROM lab/base\nRUN --mount=type=tmpfs,target=/x \\\n  --netw", {"--network="}),
    ("%%dockerfile -t x\nHEALTHCHECK --interval=1s C", {"CMD"}),
    ("%%dockerfile -t x\nSTOPSIGNAL SIGU", {"SIGURG", "SIGUSR1", "SIGUSR2"}),
]
NOT_OURS = [
    "%container run lab/base ",
    "%container run lab/base l",
    "%container run lab/base --na",
    "%container run --name ",
    "%container nosuch ",
    "%container logs web-1 ",
    "%container run --nosuch x ",
    "%%container run lab/base\nRU",
    "%%dockerfile -t x\nRUN ap",
    "contain",
    "%containers r",
    "%in web-1 we",
    "%%in web-1\nwe",
    "print('%container r",
]


def completions(shell: Any, cell: str) -> set[str]:
    """What IPython offers at the end of the cell, as the words that would then stand there."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(cell, len(cell)))
    start = max(cell.rfind(" "), cell.rfind("\n")) + 1
    return {cell[start : completion.start] + completion.text for completion in found}


@pytest.mark.parametrize(("cell", "wanted"), OFFERED, ids=[cell for cell, _ in OFFERED])
def test_words_are_offered(notebook: Notebook, cell: str, wanted: set[str]) -> None:
    assert completions(notebook.shell, cell) == wanted


@pytest.mark.parametrize("cell", NOT_OURS)
def test_what_belongs_to_others_is_left_to_them(notebook: Notebook, cell: str) -> None:
    ours = set(COMMANDS) | IMAGES | CONTAINERS | RUN_FLAGS | {"RUN", "ENV"}
    assert not completions(notebook.shell, cell) & ours


def test_files_are_offered_where_a_path_is_wanted(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "day.txt").touch()
    found = completions(notebook.shell, f"%container run -v {tmp_path}/da")
    assert found == {f"{tmp_path}/data/", f"{tmp_path}/day.txt"}


@pytest.mark.parametrize("line", ["COPY ", "ADD --link ", "COPY a.txt ", "COPY --chown=1 \\\n  "])
def test_files_of_the_build_context_are_offered(notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    context = tmp_path / "context"
    (context / "src" / "deep").mkdir(parents=True)
    for name in ("a.txt", "ignored.log", ".hidden", "src/main.py"):
        (context / name).touch()
    (context / ".dockerignore").write_text("*.log\n")
    monkeypatch.chdir(tmp_path)
    above = "%%dockerfile -t x --context context\nFROM lab/base\n"
    assert completions(notebook.shell, f"{above}{line}") == {"a.txt", "src/"}
    assert completions(notebook.shell, f"{above}{line}src/") == {"src/deep/", "src/main.py"}
    assert completions(notebook.shell, f"{above}{line}.") >= {".hidden", ".dockerignore"}


def test_stages_of_former_cells_are_offered(notebook: Notebook) -> None:
    DRAFTS.keep(DRAFTS.find("mine").with_part("", "FROM lab/base AS first\n"))
    assert completions(notebook.shell, "%%dockerfile --append mine\nCOPY --from=f") == {"--from=first"}
    assert "--from=first" not in completions(notebook.shell, "%%dockerfile -t x\nCOPY --from=f")


def test_every_kind_that_a_flag_or_argument_names_is_known() -> None:
    kinds = {kind for command in COMMANDS.values() for one in (*command.flags, *command.arguments) for kind in one.completes.split()}
    assert kinds <= set(KINDS)


def test_a_thousand_images_and_containers_are_read_by_their_names_alone(tmp_path: Path) -> None:
    """From a real database: no document is read, and no container's folder looked at."""
    records = Records(tmp_path / "records.sqlite")
    for number in range(1000):
        records.put_container(ContainerRow(f"{number:064x}", f"c-{number}", "lab/base", "sha256:0", "{}", float(number)))
        records.put_image(f"docker.io/me/app-{number}:latest", f"sha256:{number:064x}", f"sha256:{number:064x}", 0.0)
    engine = FakeEngine()
    engine.store = SimpleNamespace(
        records=SimpleNamespace(list_container_names=records.list_container_names, list_references=records.list_references)
    )
    session.use_engine(engine)
    try:
        context = SimpleNamespace(full_text="%container exec c-99", cursor_line=0, cursor_position=20)
        assert len(candidates(context)[1]) == 11
        context = SimpleNamespace(full_text="%container run me/app-99", cursor_line=0, cursor_position=24)
        assert candidates(context) == ("me/app-99", sorted(["me/app-99", *(f"me/app-99{digit}" for digit in range(10))]))
    finally:
        session.close()
        records.close()


def test_completing_starts_no_engine(notebook: Notebook, engine: FakeEngine) -> None:
    session.close()
    assert completions(notebook.shell, "%container run ") == {"lab/base", "lab/python"}
    assert not completions(notebook.shell, "%container exec w") & CONTAINERS
    assert session.existing_engine() is None
