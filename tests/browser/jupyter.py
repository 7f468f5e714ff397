"""A Jupyter server on the loopback address and a Chromium that can reach nothing else, for the browser tests.

It must not know the widgets: it opens notebooks, runs their cells and reads what was saved.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Error, Locator, Page, Playwright, Request

HOUSE = Path(__file__).resolve().parents[2]
QUIET = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--metrics-recording-only",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
SETTINGS = {
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}

RUN_BESIDE = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  let text = "";
  const future = kernel.requestExecute({ code, store_history: false });
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === "stream") text += content.text;
    if (header.msg_type === "error") text += content.traceback.join("\\n");
  };
  await future.done;
  return text;
}"""

# Closes all documents without asking about changes; whether nothing is left of them: no dialog, no notification, no folded panel.
CLOSE_ALL = """() => {
  const shell = window.jupyterapp?.shell;
  if (!shell) return false;
  for (const widget of [...shell.widgets("main")]) {
    if (widget.context) widget.context.model.dirty = false;
    widget.dispose();
  }
  return [...shell.widgets("main")].length === 0 && !document.querySelector(".jp-Dialog, .jp-Notebook");
}"""


def launch_chromium(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET))


class Server:
    """One Jupyter server with a fresh home below `folder`; `application` is "lab" or "notebook"."""

    def __init__(self, folder: Path, application: str = "lab", environment: dict[str, str] | None = None) -> None:
        self.application = application
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        self.port = _free_port()
        self._settings(folder / "settings", SETTINGS)
        self.log_path = folder / "server.log"
        command = [sys.executable, "-m", f"jupyter{application}" if application == "lab" else application, "--no-browser", "--allow-root"]
        command += [
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
        ]
        command += [
            f"--ServerApp.root_dir={self.notebooks}",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
        ]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment(folder, environment or {})
            )
        self._wait()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _environment(self, folder: Path, more: dict[str, str]) -> dict[str, str]:
        own = {
            "HOME": str(folder),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "LABCONTAINERS_ROOT": str(folder / "s"),
            "LABCONTAINERS_RUN": str(folder / "r"),
            "PYTHONPATH": str(HOUSE),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }
        return {**os.environ, **own, **more}

    def _settings(self, folder: Path, settings: dict[str, Any]) -> None:
        for plugin, values in settings.items():
            path = folder / f"{plugin}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/api/status?token={self.token}", timeout=5):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.2)
        self.close()
        raise AssertionError(f"the Jupyter server did not start:\n{self.log_path.read_text()[-4000:]}")

    def write(self, name: str, cells: Sequence[str]) -> None:
        """Make a notebook of these code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.notebooks / name)

    def read(self, name: str) -> Any:
        """The notebook as it was last saved."""
        return nbformat.read(self.notebooks / name, as_version=4)

    def start_kernel(self) -> Any:
        """Start a kernel that belongs to no notebook; returns what the server tells of it."""
        return self._ask("kernels", "POST")

    def end_kernels(self) -> None:
        """End every kernel, so that the next notebook has the machine for itself."""
        for kernel in self._ask("kernels"):
            self._ask(f"kernels/{kernel['id']}", "DELETE")

    def remove_containers(self) -> list[str]:
        """Remove every container from the store that the kernels use; returns what is wrong with the store then."""
        from labcontainers import Engine

        engine = Engine(root=self.folder / "s", run_root=self.folder / "r")
        try:
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            return engine.store.verify()
        finally:
            engine.close()

    def _ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(f"{self.address}/api/{path}", method=method, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def close(self) -> None:
        """End the server and its kernels."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Tabs:
    """Pages in which an application has been loaded: one that is given back serves the next notebook, without loading anew."""

    def __init__(self, browser: Browser) -> None:
        # shared, so that scripts are fetched once; pictures, where any are asked for, are as sharp as on a good screen
        self._context = browser.new_context(device_scale_factor=2 if {"LABCONTAINERS_PICTURES", "SHOTS"} & set(os.environ) else 1)
        self._context.grant_permissions(["clipboard-read", "clipboard-write"])
        self._context.set_default_timeout(60_000)
        self._free: dict[Server, list[Page]] = {}

    def take(self, server: Server) -> Page:
        """A page of `server`'s application, or one in which nothing is open yet."""
        free = self._free.setdefault(server, [])
        return free.pop() if free else self._context.new_page()

    def give_back(self, server: Server, page: Page) -> None:
        """Keep a page for the next notebook if all that is open in it could be closed."""
        if page.evaluate(CLOSE_ALL):
            self._free[server].append(page)
        else:
            page.close()


class NotebookPage:
    """One notebook, open in a page. Requests to anywhere but the server are refused and remembered in `strayed`."""

    def __init__(self, server: Server, tabs: Tabs, name: str, *, dark: bool = False, width: int = 1200, height: int = 900) -> None:
        self.server = server
        self.name = name
        self.strayed: list[str] = []
        self.errors: list[str] = []
        self._tabs = tabs
        # Notebook 7 has one notebook to a page, and a page that was loaded again remembers what was open in it
        self._serves_again = server.application == "lab"
        self.page = tabs.take(server)
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.on("request", self._note)
        self.page.on("pageerror", self._remember)
        if server.application == "lab" and self.page.url.startswith(server.address):
            self.command("docmanager:open", {"path": name})
        else:
            tree = "lab/tree" if server.application == "lab" else "notebooks"
            self.page.goto(f"{server.address}/{tree}/{name}?token={server.token}&reset")
        self._ready()
        # what failed before a cell could run is the application's own: Notebook 7.6 reads a schema that it has not loaded
        self.errors.clear()
        # the server keeps the theme that another page has chosen
        if (self.page.locator("body").get_attribute("data-jp-theme-light") == "false") != dark:
            self.command("apputils:change-theme", {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"})

    def _remember(self, error: Error) -> None:
        self.errors.append(str(error))

    def _note(self, request: Request) -> None:
        url = request.url
        if not url.startswith((self.server.address, "blob:", "data:", self.server.address.replace("http", "ws"))):
            self.strayed.append(url)

    def _ready(self) -> None:
        self.page.wait_for_function("() => window.jupyterapp && window.jupyterapp.restored", timeout=60_000)
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
        context = "window.jupyterapp.shell.currentWidget?.sessionContext"
        self.page.wait_for_function(
            f"() => {context}?.isReady && {context}.session?.kernel?.connectionStatus === 'connected'", timeout=60_000
        )
        self.page.evaluate(f"() => {context}.session.kernel.info.then(() => null)")

    def command(self, name: str, arguments: dict[str, Any] | None = None, *, wait: bool = True) -> None:
        """Run one of JupyterLab's commands; it may go on after this returns when `wait` is False."""
        execute = "window.jupyterapp.commands.execute(name, args)"
        run = f"([name, args, wait]) => {{ const done = {execute}; if (wait) return done.then(() => null); }}"
        self.page.evaluate(run, [name, arguments or {}, wait])

    def run_all(self) -> None:
        """Start all cells; returns at once."""
        self.command("notebook:run-all-cells", wait=False)

    def output_of(self, code: str) -> str:
        """What `code` prints when the notebook's kernel runs it, beside the notebook's own cells."""
        text: str = self.page.evaluate(RUN_BESIDE, code)
        return text.strip()

    def clear_output_of(self, cell: int) -> None:
        """Take the output of one cell, counted from 0, out of the page."""
        self.page.evaluate("cell => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells[cell].setOutputs([])", cell)

    def reload(self) -> None:
        self._serves_again = False
        self.page.reload()
        self._ready()

    def save(self) -> Any:
        """Save, and read what is on disk."""
        self.command("docmanager:save")
        return self.server.read(self.name)

    def locator(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def close(self) -> None:
        self.page.remove_listener("request", self._note)
        self.page.remove_listener("pageerror", self._remember)
        if self._serves_again:
            self._tabs.give_back(self.server, self.page)
        else:
            self.page.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
