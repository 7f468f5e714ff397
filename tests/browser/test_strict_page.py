"""The bundles in a page that forbids what VS Code's and other hosts' pages may forbid: eval, inline scripts, and any request.

The page plays the widget manager: it imports the loader from a blob, as anywidget does, and hands it a model.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from labcontainers.widgets import bundle
from labcontainers.widgets.glass_box import GlassBox
from tests.unit.widgets.test_widgets_glass_box import explanation

pytestmark = pytest.mark.needs("chromium")

POLICY = "default-src 'none'; script-src 'self' blob:; style-src 'unsafe-inline'; img-src data: blob:; connect-src 'none'; base-uri 'none'"
PAGE = '<!doctype html><title>strict</title><main></main><script type="module" src="/page.js"></script>'
SCRIPT = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
const load = (text) => import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
window.names = async (text) => Object.keys(await load(text));
window.show = async ({ loader, first, snapshot }) => {
  const handlers = [];
  window.sent = [];
  const state = { _first: first, _snapshot: snapshot, _role: "explain" };
  const model = {
    get: (name) => state[name],
    send: (content) => window.sent.push(content),
    on: (name, handler) => handlers.push([name, handler]),
  };
  window.say = (content) => handlers.forEach(([name, handler]) => name === "msg:custom" && handler(content, []));
  const made = (await load(loader)).default();
  const el = document.querySelector("main");
  await made.initialize({ model });
  window.end = await made.render({ model, el });
};
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, text = ("text/javascript", SCRIPT) if self.path == "/page.js" else ("text/html", PAGE)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is written."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A strict page. Afterwards: it was asked for nothing but itself, and nothing was tried that it forbids."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    context = browser.new_context()
    made = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    made.on("request", lambda request: asked.append(request.url))
    made.on("pageerror", lambda error: errors.append(str(error)))
    try:
        made.goto(address)
        made.wait_for_function("() => window.show")
        yield made
        violations = made.evaluate("window.violations")
    finally:
        context.close()
        server.shutdown()
        server.server_close()
        thread.join()
    assert {url for url in asked if not url.startswith("blob:")} <= {address, f"{address}page.js", f"{address}favicon.ico"}
    assert violations == []
    assert errors == []


def first() -> dict[str, object]:
    code = bundle.read().code
    return {"code": code, "replay": {"seq": 0, "now": 1000.0, "data": json.loads(json.dumps(GlassBox(explanation()).everything()))}}


def test_a_widget_works_where_eval_inline_scripts_and_requests_are_forbidden(page: Page) -> None:
    page.evaluate("given => window.show(given)", {"loader": bundle.read().loader, "first": first(), "snapshot": "<p>before</p>"})
    expect(page.locator("main .labg")).to_be_visible()
    page.locator(".labg-row").nth(1).click()
    expect(page.locator(".labg-now")).not_to_be_empty()
    page.evaluate("window.end()")


def test_without_a_kernel_the_snapshot_stays_and_code_that_comes_later_takes_its_place(page: Page) -> None:
    page.evaluate("given => window.show(given)", {"loader": bundle.read().loader, "first": None, "snapshot": "<p>before</p>"})
    expect(page.locator("main")).to_have_text("before")
    assert {"kind": "code"} in page.evaluate("window.sent")
    given = first()
    page.evaluate("said => window.say(said)", {"kind": "code", "hash": bundle.read().hash, "text": given["code"]})
    page.wait_for_function("() => window.sent.some(({ kind }) => kind === 'ready')")
    page.evaluate("said => window.say(said)", {"kind": "replay", **given["replay"]})
    expect(page.locator("main .labg")).to_be_visible()


@pytest.mark.parametrize("name", [bundle.WIDGETS, bundle.TERMINAL, bundle.DASHBOARD])
def test_each_bundle_is_a_module_that_needs_no_other(page: Page, name: str) -> None:
    code = bundle.read(name=name).code
    # a bare import would fail here
    assert page.evaluate("text => window.names(text)", code) == ["attach"]
    for forbidden in (r"\beval\(", r"\bnew Function\b", r"\bfetch\(", r"\bXMLHttpRequest\b", r"\bnew WebSocket\b"):
        assert not re.search(forbidden, code), forbidden


def test_the_loader_has_a_default_export_alone_and_asks_for_nothing(page: Page) -> None:
    loader = bundle.read().loader
    assert page.evaluate("text => window.names(text)", loader) == ["default"]
    assert "http" not in loader
