"""A wheel holds the widgets' bundles, built by npm when they are not there; installing it needs no Node and starts without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[3]
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
FAKE_NPM = """#!/bin/sh
echo "$@" >>"$NPM_LOG"
[ "$1" = ci ] && exit
mkdir -p ../labcontainers/widgets/static
for name in widgets terminal dashboard loader; do echo made >../labcontainers/widgets/static/$name.js; done
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what git would hold, without bundles."""
    folder = tmp_path / "checkout"
    skipped = shutil.ignore_patterns("node_modules", "static", "__pycache__")
    for name in ("labcontainers", "js", "scripts"):
        shutil.copytree(HOUSE / name, folder / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HOUSE / name, folder / name)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a node and an npm that only write down what they are asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("npm", FAKE_NPM), ("node", "#!/bin/sh\necho v22.0.0\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def test_a_wheel_holds_the_bundles_that_npm_made_and_nothing_of_the_sources(tmp_path: Path, checkout: Path, programs: Path) -> None:
    log = tmp_path / "npm.log"
    environment = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin", "NPM_LOG": str(log)}
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert log.read_text().splitlines() == ["ci --no-audit --no-fund", "run build"]
    with zipfile.ZipFile(tmp_path / built.stdout.split()[-1]) as wheel:
        names = wheel.namelist()
        wheel.extractall(tmp_path / "installed")
    bundles = {f"labcontainers/widgets/static/{name}.js" for name in ("widgets", "terminal", "dashboard", "loader")}
    assert {*bundles, "labcontainers/py.typed"} <= set(names)
    assert not [name for name in names if name.startswith(("js/", "scripts/", "tests/"))]
    # What is installed has all that it needs: no Node is asked for.
    show = "from labcontainers.widgets import bundle; import labcontainers; print(bundle.built(), labcontainers.__file__)"
    alone = {"PATH": str(tmp_path / "empty"), "PYTHONPATH": str(tmp_path / "installed")}
    shown = subprocess.run([sys.executable, "-c", show], cwd=tmp_path, env=alone, capture_output=True, text=True, check=True).stdout.split()
    assert shown[0] == "True"
    assert shown[1].startswith(str(tmp_path / "installed"))


def test_bundles_that_are_newer_than_their_sources_are_not_built_again(tmp_path: Path, checkout: Path, programs: Path) -> None:
    bundles = checkout / "labcontainers/widgets/static"
    bundles.mkdir()
    for name in ("widgets.js", "terminal.js", "dashboard.js", "loader.js"):
        (bundles / name).write_text("kept")
    environment = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin", "NPM_LOG": str(tmp_path / "npm.log")}
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert not (tmp_path / "npm.log").exists()
