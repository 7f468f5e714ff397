"""The progress of pulls, pushes and loads in JupyterLab: layers on their way and at their end, an interrupt, both themes, what is saved."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.card import brightness
from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server
from tests.fakes.layer_source import FakeLayer, digest_of, gzipped, tar_of
from tests.fakes.registry_server import Answer, Asked, RegistryServer
from tests.integration.test_install import config_of
from tests.waiting import until

pytestmark = pytest.mark.needs("chromium")

LOAD = "%load_ext labcontainers"
SIZES = {"first": 40_000, "second": 300_000, "third": 2_000_000}
# the same layers again, sent to another repository, from an archive, and not at all
MORE = """%container pull {address}/team/tool:1
%container tag {address}/team/tool:1 {address}/other/tool:1
%container push {address}/other/tool:1
%container save -o held.tar {address}/team/tool:1
%container rmi -f {address}/team/tool:1 {address}/other/tool:1
%container load -i held.tar"""
# threads that a transfer has while it goes on
THREADS = """import threading
print([each.name for each in threading.enumerate() if each.name.startswith(("lab-transfer", "lab-layer", "lab-inflate"))])"""
RUN_CELL = """async (cell) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = cell;
  await window.jupyterapp.commands.execute("notebook:run-cell");
}"""
# percent of a layer of which the half was sent: what has come is told in pieces of 64 kB
HALF = re.compile("^(4[5-9]|50)$")
# where pictures are kept, for whoever wants to look at them
PICTURES = os.environ.get("LABCONTAINERS_PICTURES", "")


class Held:
    """A registry that sends the half of the last of three layers, and the rest when it is let go on.

    What is in layers is random: no other test has brought them, and they stay large when they are packed.
    """

    def __init__(self, server: RegistryServer) -> None:
        self.server = server
        self.go_on = threading.Event()
        self.layers = [gzipped(tar_of({name: os.urandom(size)})) for name, size in SIZES.items()]
        self.last = self.layers[-1]
        offer(server, "team/tool", self.layers)
        self._stored = self.last.stored
        self._path = f"/blobs/{digest_of(self.last.stored)}"
        server.rules.append(self._rule)

    def _rule(self, asked: Asked) -> Answer | None:
        held = asked.method == "GET" and asked.path.endswith(self._path) and not self.go_on.is_set() and "range" not in asked.headers
        return Answer(raw=self._send) if held else None

    def _send(self, handler: object) -> None:
        write = handler.wfile.write
        write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._stored)}\r\n\r\n".encode() + self._stored[: len(self._stored) // 2])
        handler.wfile.flush()
        self.go_on.wait(120)
        write(self._stored[len(self._stored) // 2 :])


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def held(registry: RegistryServer) -> Iterator[Held]:
    held = Held(registry)
    yield held
    held.go_on.set()


def offer(server: RegistryServer, repository: str, layers: list[FakeLayer]) -> None:
    config = config_of(layers)
    kind = "application/vnd.oci.image"
    listed = [{"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": digest_of(one.stored), "size": len(one.stored)} for one in layers]
    described = {"mediaType": f"{kind}.config.v1+json", "digest": digest_of(config), "size": len(config)}
    for blob in (config, *(layer.stored for layer in layers)):
        server.put_blob(repository, blob)
    manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": described, "layers": listed}
    server.put_manifest(repository, "1", json.dumps(manifest).encode())


class Transfer:
    """A live progress; every wait has the page's time limit."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.title = root.locator(".labc-name")
        self.badge = root.locator(".labc-head .labc-badge")
        self.layers = root.locator(".labc-layer")
        self.phases = root.locator(".labc-layer-phase")
        self.sum = root.locator(".labc-sum")
        self.result = root.locator(".labc-result")

    def layer(self, layer: FakeLayer) -> Locator:
        return self.layers.filter(has_text=digest_of(layer.stored)[7:19])

    def picture(self, name: str) -> None:
        if PICTURES:
            self.root.screenshot(path=Path(PICTURES) / f"transfer-{name}.png")


def transfer_of(page: NotebookPage, cell: int) -> Transfer:
    root = page.locator(".jp-CodeCell").nth(cell)
    root.evaluate("element => element.scrollIntoView()")
    return Transfer(root.locator(".labc-transfer"))


def opened(lab: Server, open_notebook: Open, held: Held, *, dark: bool = False, width: int = 1200) -> tuple[NotebookPage, Transfer]:
    """A pull in a page, of which one layer is held at its half."""
    page = open_notebook(lab, [LOAD, f"%container pull {held.server.address}/team/tool:1"], dark=dark, width=width)
    page.run_all()
    transfer = transfer_of(page, 1)
    expect(transfer.layer(held.last)).to_have_attribute("data-phase", "downloading")
    expect(transfer.layer(held.last).locator(".labc-layer-bar")).to_have_attribute("aria-valuenow", HALF)
    return page, transfer


def test_layers_are_seen_on_their_way_and_at_their_end(lab: Server, open_notebook: Open, held: Held) -> None:
    _, transfer = opened(lab, open_notebook, held)
    expect(transfer.title).to_have_text(f"Pull {held.server.address}/team/tool:1")
    expect(transfer.badge).to_have_text("pulling")
    expect(transfer.layers).to_have_count(3)
    expect(transfer.layer(held.layers[0]).locator(".labc-layer-phase")).to_have_text("pulled")
    expect(transfer.layer(held.last).locator(".labc-layer-amount")).to_have_text(re.compile("(9.. kB|1 MB) of 2 MB"))
    expect(transfer.sum).to_contain_text("2 of 3 layers")
    transfer.picture("light")
    held.go_on.set()
    expect(transfer.badge).to_have_text("pulled")
    expect(transfer.phases).to_have_text(["pulled"] * 3)
    expect(transfer.sum).to_contain_text("3 of 3 layers · 2.34 MB")
    assert transfer.root.get_by_role("progressbar", name="All layers").get_attribute("aria-valuenow") == "100"
    transfer.picture("light-end")


def test_layers_that_are_there_are_not_fetched_nor_sent_and_an_archive_brings_them(lab: Server, open_notebook: Open, held: Held) -> None:
    held.go_on.set()
    address = held.server.address
    page = open_notebook(lab, [LOAD, f"%container pull {address}/team/tool:1\n" + MORE.format(address=address)])
    page.run_all()
    shown = page.locator(".labc-transfer")
    expect(shown).to_have_count(4)
    again, pushed, loaded = (Transfer(shown.nth(number)) for number in (1, 2, 3))
    expect(loaded.badge).to_have_text("loaded")
    expect(loaded.title).to_have_text("Load held.tar")
    expect(loaded.phases).to_have_text(["loaded"] * 3)
    expect(again.phases).to_have_text(["exists already"] * 3)
    expect(pushed.title).to_have_text(f"Push {address}/other/tool:1")
    expect(pushed.badge).to_have_text("pushed")
    expect(pushed.phases).to_have_text(["mounted from team/tool"] * 3)
    again.picture("again")
    pushed.picture("pushed")
    loaded.picture("loaded")


def test_an_interrupt_stops_the_pull_and_the_next_one_goes_on(lab: Server, open_notebook: Open, held: Held) -> None:
    page, transfer = opened(lab, open_notebook, held)
    page.command("kernelmenu:interrupt")
    expect(transfer.badge).to_have_text("interrupted")
    expect(transfer.layer(held.last)).to_have_attribute("data-phase", "stopped")
    expect(transfer.result).to_contain_text("the next pull goes on from there")
    transfer.picture("interrupted")
    # what is asked right after an error is not answered
    until(lambda: page.output_of(THREADS) == "[]", "threads of the pull are left")
    held.go_on.set()
    page.page.evaluate(RUN_CELL, 1)
    again = transfer_of(page, 1)
    expect(again.badge).to_have_text("pulled")
    ranges = [asked.headers.get("range") for asked in held.server.requests("GET", f"/blobs/{digest_of(held.last.stored)}")]
    assert ranges[0] is None
    assert re.fullmatch(r"bytes=[1-9]\d*-", ranges[-1] or ""), "it began anew"


def test_a_run_shows_the_pull_of_what_it_lacks_and_that_ends_before_the_container_does(
    lab: Server, open_notebook: Open, registry: RegistryServer
) -> None:
    name = f"{registry.address}/lab/copy:1"
    gone = f"%container rmi -f {name} lab/base"
    script = 'trap "exit 3" INT TERM; echo begun; while true; do sleep 0.1; done'
    run = f"%container run --rm --pull missing --network none {name} sh -c '{script}'"
    page = open_notebook(
        lab, [LOAD, f"%container run --rm lab/base true\n%container tag lab/base {name}\n%container push {name}\n{gone}", run]
    )
    page.run_all()
    transfer = transfer_of(page, 2)
    expect(transfer.badge).to_have_text("pulled")
    expect(page.locator(".jp-CodeCell").nth(2)).to_contain_text("begun")
    assert transfer_of(page, 1).phases.all_inner_texts() == ["pushed"]
    page.command("kernelmenu:interrupt")
    expect(page.locator(".jp-CodeCell").nth(2)).to_contain_text("was interrupted")
    expect(transfer.badge).to_have_text("pulled")


@pytest.mark.parametrize("width", [1200, 700])
def test_the_dark_theme_is_dark(lab: Server, open_notebook: Open, held: Held, width: int) -> None:
    _, transfer = opened(lab, open_notebook, held, dark=True, width=width)
    style = "(element, name) => getComputedStyle(element)[name]"
    assert brightness(transfer.root.evaluate(style, "backgroundColor")) < 0.3
    assert brightness(transfer.root.evaluate(style, "color")) > 0.7
    assert brightness(transfer.layer(held.last).locator(".labc-layer-phase").evaluate(style, "color")) > 0.5
    assert transfer.root.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    transfer.picture(f"dark-{width}")
    held.go_on.set()
    expect(transfer.badge).to_have_text("pulled")
    transfer.picture(f"dark-end-{width}")


def test_what_is_saved_tells_the_layers_without_a_kernel(lab: Server, open_notebook: Open, held: Held) -> None:
    page, transfer = opened(lab, open_notebook, held)
    held.go_on.set()
    expect(transfer.badge).to_have_text("pulled")

    def saved() -> Any:
        shown = (output.get("data", {}) for output in page.save().cells[1].outputs)
        return next((data for data in shown if "3 of 3 layers" in data.get("text/html", "")), None)

    # what is to be saved follows what is seen
    until(lambda: saved() is not None, "the end is in the file")
    data = saved()
    for form in (data["text/plain"], data["text/html"]):
        assert f"pull {held.server.address}/team/tool:1" in form
        assert "3 of 3 layers, 2.34MB" in form
        assert digest_of(held.last.stored)[7:19] in form
    lab.end_kernels()
    page.reload()
    expect(page.locator(".jp-CodeCell").nth(1)).to_contain_text("3 of 3 layers, 2.34MB")
    assert page.locator(".labc-transfer").count() == 0
