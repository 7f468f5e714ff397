"""What repo2docker does with `binder/`, without root and in a fresh folder: install, prepare, and run the first lesson.

Packages that the tests have already are not installed again; the checkout and its package are the copy's own.
"""

from __future__ import annotations

import os
import shutil
import site
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import pytest

from scripts.trees import remove_tree
from tests.notebooks.sandbox import WITHOUT_NAMESPACES

HOUSE = Path(__file__).resolve().parents[2]
FIRST = "notebooks/01-first-container.ipynb"
# what git holds of it, and the widgets' bundles if they are built: building them anew would ask npm's registry
PARTS = ("binder", "labcontainers", "notebooks", "scripts", "js", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.needs("ordinary user")


class Place:
    """A checkout with an environment beside it, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.home, self.environment = folder / "c", folder / "h", folder / "v"
        self.home.mkdir()
        skipped = shutil.ignore_patterns("node_modules", "__pycache__", ".ipynb_checkpoints")
        for name in PARTS:
            copy = shutil.copytree if (HOUSE / name).is_dir() else shutil.copy2
            copy(HOUSE / name, self.checkout / name, **({"ignore": skipped} if copy is shutil.copytree else {}))
        subprocess.run([sys.executable, "-m", "venv", str(self.environment)], check=True)
        self.python = self.environment / "bin" / "python"
        asked = "import site; print(site.getsitepackages()[0])"
        (packages,) = subprocess.run([self.python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
        (Path(packages) / "of_the_tests.pth").write_text("\n".join(site.getsitepackages()) + "\n")
        self.variables = {
            "HOME": str(self.home),
            "LABCONTAINERS_ROOT": str(folder / "s"),
            "LABCONTAINERS_RUN": str(folder / "r"),
            "PATH": f"{self.environment / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": "",
        }

    def run(self, *words: str | Path) -> str:
        """Run it in the checkout, as repo2docker does each step; what it wrote."""
        done = subprocess.run(words, cwd=self.checkout, env={**os.environ, **self.variables}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def server(self) -> Iterator[str]:
        """JupyterLab as repo2docker starts it; its address."""
        with socket.socket() as any_port:
            any_port.bind(("127.0.0.1", 0))
            port = any_port.getsockname()[1]
        command = [self.python, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}", "--IdentityProvider.token="]
        with (self.home / "server.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self.checkout, env={**os.environ, **self.variables}, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def answer(address: str) -> tuple[str, bytes]:
    """Where the server leads to, and what it says there; waits until it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(address, timeout=10) as page:
            return page.url, page.read()
        time.sleep(0.2)
    raise AssertionError(f"nobody answers at {address}")


@pytest.fixture(scope="module")
def binder() -> Iterator[Place]:
    """After `pip install -r binder/requirements.txt` and `binder/postBuild`; what the latter wrote is in `home/postBuild`."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    place = Place(folder)
    place.run(place.python, "-m", "pip", "install", "-r", "binder/requirements.txt")
    (place.home / "postBuild").write_text(place.run("binder/postBuild"))
    yield place
    remove_tree(folder)


def test_apt_and_runtime_name_what_there_is() -> None:
    assert (HOUSE / "binder" / "runtime.txt").read_text().startswith("python-3.")
    words = (HOUSE / "binder" / "apt.txt").read_text().split()
    assert words == sorted(set(words))
    assert {"busybox-static", "iproute2", "uidmap"} <= set(words)


def test_the_package_is_that_of_the_checkout_with_its_widgets(binder: Place) -> None:
    show = "import labcontainers; from labcontainers.widgets import bundle; print(labcontainers.__file__, bundle.built())"
    path, built = binder.run(binder.python, "-c", show).split()
    assert (Path(path), built) == (binder.checkout / "labcontainers" / "__init__.py", "True")
    assert (binder.environment / "bin" / "labcontainers").exists()


def test_the_images_are_made_and_it_is_told_what_this_host_allows(binder: Place) -> None:
    said = (binder.home / "postBuild").read_text()
    assert "level: " in said
    assert "lab/base: sha256:" in said
    assert "lab/python: sha256:" in said
    # a second time changes nothing
    assert binder.run("binder/postBuild").split("level: ")[1].split("\n")[0] == said.split("level: ")[1].split("\n")[0]


def test_jupyterlab_begins_with_the_first_lesson(binder: Place) -> None:
    with binder.server() as address:
        url, page = answer(address)
        assert url.endswith(f"/lab/tree/{FIRST}")
        assert b"JupyterLab" in page
        assert b"Your first container" in answer(f"{address}/api/contents/{FIRST}")[1]


@pytest.mark.timeout(300)
def test_the_first_lesson_runs_in_what_was_installed(binder: Place) -> None:
    binder.run(binder.python, "-c", "from nbclient.cli import main; main()", "--inplace", FIRST)
    assert any("nothing is left behind" in str(cell.get("outputs")) for cell in nbformat.read(binder.checkout / FIRST, 4).cells)


def test_a_builder_that_forbids_namespaces_is_no_failure(binder: Place) -> None:
    another_store = ("env", f"LABCONTAINERS_ROOT={binder.home / 's'}", f"LABCONTAINERS_RUN={binder.home / 'r'}")
    said = binder.run(*another_store, *WITHOUT_NAMESPACES, "binder/postBuild")
    assert "level: none" in said
    assert "lab/base is not made yet: " in said
