"""A page like the one that VS Code shows a notebook's outputs in: its policy, its styles, its variables, and its own widget manager.

It is not VS Code: of the Jupyter extension it has the widget manager alone, from the package of that name on npm, with the kernel
connection that is in it. It must not know the widgets. Sources: microsoft/vscode, backLayerWebView.ts (policy and styles of a notebook's
webview), webview/browser/pre/index.html (classes and variables), theme-defaults (colours); microsoft/vscode-jupyter,
src/webviews/webview-side/ipywidgets and src/kernels/execution/cellExecution.ts (how cells are sent and outputs shown).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route

from tests.browser.jupyter import HOUSE, Server

MODULES = HOUSE / "js" / "node_modules"
MANAGER = MODULES / "@vscode" / "jupyter-ipywidgets8" / "dist" / "ipywidgets.js"
REQUIRE = MODULES / "requirejs" / "require.js"
RESOURCES = "https://file+.vscode-resource.vscode-cdn.net"

# as with notebook.experimental.enableCsp; without it there is none. Anywidget loads every widget's code from a blob.
POLICY = """default-src 'none'; script-src 'self' https://*.vscode-cdn.net 'unsafe-inline' 'unsafe-eval' blob:;
style-src 'self' https://*.vscode-cdn.net 'unsafe-inline'; img-src 'self' https://*.vscode-cdn.net https: http: data:;
font-src 'self' https://*.vscode-cdn.net https:; connect-src https:; child-src https: data:"""
STYLES = """@layer vscode-default {
  body { color: var(--vscode-editor-foreground); font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); }
  a, a code { color: var(--vscode-textLink-foreground); }
  a:focus, input:focus, select:focus, textarea:focus { outline: 1px solid -webkit-focus-ring-color; outline-offset: -1px; }
  code { color: var(--vscode-textPreformat-foreground); background-color: var(--vscode-textPreformat-background); }
  code { padding: 1px 3px; border-radius: 4px; }
}
body { margin: 0; padding: 0; background: var(--vscode-editor-background); }
#container > div > div > div.output { padding: 8px; box-sizing: border-box; }
#container > div > div:not(.preview) > div { overflow-x: auto; }
table, thead, tr, th, td, tbody { border: none; border-color: transparent; border-spacing: 0; border-collapse: collapse; }
table, th, tr { vertical-align: middle; text-align: right; }
thead { font-weight: bold; background-color: rgba(130, 130, 130, 0.16); }
th, td { padding: 4px 8px; }
tr:nth-child(even) { background-color: rgba(130, 130, 130, 0.08); }
tbody th { font-weight: normal; }
.cell-output-ipywidget-background { background: white !important; }"""
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>notebook</title>
<script>{early}</script><meta http-equiv="Content-Security-Policy" content="{policy}"><style>{styles}</style></head>
<body><div id="container" class="widgetarea"></div>
<script src="{resources}/require.js"></script><script type="module" src="/vscode.js"></script></body></html>"""
# The socket is opened before the policy holds: in VS Code the extension has it, and hands on what it says.
EARLY = """window.kernelSocket = new WebSocket({address});
window.kernelSocket.binaryType = "arraybuffer";
Object.assign(window, {settings});"""

_FONTS = {"font-family": 'system-ui, "Ubuntu", sans-serif', "font-size": "13px", "editor-font-family": '"Droid Sans Mono", monospace'}
_NAMES = (
    "foreground",
    "editor-foreground",
    "editor-background",
    "descriptionForeground",
    "sideBar-background",
    "dropdown-border",
    "textLink-foreground",
    "textPreformat-foreground",
    "textPreformat-background",
)


def _theme(kind: str, *colours: str) -> dict[str, Any]:
    return {"kind": kind, "colours": {**_FONTS, **dict(zip(_NAMES, colours, strict=True))}}


DARK = _theme("vscode-dark", "#cccccc", "#cccccc", "#1f1f1f", "#9d9d9d", "#181818", "#3c3c3c", "#4daafc", "#d0d0d0", "#3c3c3c")
LIGHT = _theme("vscode-light", "#3b3b3b", "#3b3b3b", "#ffffff", "#3b3b3b", "#f8f8f8", "#cecece", "#005fb8", "#3b3b3b", "#0000001f")
CONTRAST_LIGHT = _theme(
    "vscode-high-contrast-light", "#292929", "#292929", "#ffffff", "#292929", "#ffffff", "#0f4a85", "#0f4a85", "#ffffff", "#09345f"
)


class Webview:
    """One kernel of `server`, and the page that shows the outputs of its cells. What it asked of others is in `strayed`."""

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.strayed: list[str] = []
        self.errors: list[str] = []
        self._files = {
            "/vscode.js": Path(__file__).with_name("vscode.js").read_text(),
            # the package keeps to itself what is in it, and its kernel connection is needed
            "/packages/ipywidgets.js": MANAGER.read_text() + "\nexport { __webpack_require__ as load, __webpack_modules__ as modules };",
            f"{RESOURCES}/require.js": REQUIRE.read_text(),
        }
        self.context = browser.new_context(viewport={"width": 1000, "height": 1000}, device_scale_factor=2)
        self.context.set_default_timeout(60_000)
        # a page that Playwright answers for counts as one of another network than the server's
        self.context.grant_permissions(["local-network-access"])
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route("**/*", self._answer)
        self._open()

    def _open(self) -> None:
        kernel = self.server.start_kernel()
        channels = (
            f"{self.server.address.replace('http', 'ws')}/api/kernels/{kernel['id']}/channels?token={self.server.token}&session_id=vsc"
        )
        settings = {"kernelModel": kernel, "clientId": "vsc", "resources": RESOURCES, "nbextensions": self._nbextensions()}
        early = EARLY.replace("{address}", json.dumps(channels)).replace("{settings}", json.dumps(settings))
        self._files["/"] = PAGE.format(early=early, policy=POLICY, styles=STYLES, resources=RESOURCES)
        self.page.goto(f"{self.server.address}/")
        self.page.wait_for_function("() => window.ready")

    def _nbextensions(self) -> dict[str, str]:
        """Where the scripts of widgets are, by their module: VS Code reads it off every extension.js of the kernel's environment."""
        found = {}
        for path in Path(sys.prefix, "share/jupyter/nbextensions").glob("*/extension.js"):
            if names := re.search(r"""["']?(\w+)["']?\s*:\s*["'](nbextensions/[^"']+)["']""", path.read_text()):
                found[names[1]] = names[2]
                self._files[f"{RESOURCES}/{names[2]}.js"] = (path.parents[2] / f"{names[2]}.js").read_text()
        return found

    def _answer(self, route: Route) -> None:
        url = route.request.url
        body = self._files.get(url.removeprefix(self.server.address))
        if body is None:
            if not url.startswith("blob:"):
                self.strayed.append(url)
            route.abort()
            return
        kind = "text/javascript" if url.endswith(".js") else "text/html"
        route.fulfill(status=200, content_type=f"{kind}; charset=utf-8", body=body)

    def run(self, code: str) -> str:
        """What a cell prints, once it has run; what it shows stands below the former ones."""
        text: str = self.page.evaluate("code => window.run(code)", code)
        return text.strip()

    def dress(self, theme: dict[str, Any]) -> None:
        self.page.evaluate("theme => window.dress(theme)", theme)

    def locator(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def complaints(self) -> list[str]:
        """What was forbidden, asked of others, or failed."""
        return [*self.page.evaluate("[...window.violations, ...window.failures]"), *self.strayed, *self.errors]

    def close(self) -> None:
        self.context.close()
