"""Git repositories made by a test, and served by HTTP on loopback: by git's own program, or as plain files, as a dumb server does."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@example.org"), ("DATE", "1700000000 +0000"))
}


def git(folder: Path, *words: str) -> str:
    """Run git there, as nobody in particular."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **_AUTHOR}
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class GitSite:
    """Bare repositories below `root`; `work(name)` is a clone in which a test makes commits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.smart = True
        self.password = ""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make(self, name: str, *options: str) -> Path:
        """A repository without any commit, and its work tree; `options` are of git-init(1)."""
        (self.root / "bare" / name).mkdir(parents=True)
        git(self.root / "bare" / name, "init", "-q", "--bare", "-b", "main", *options)
        git(self.root / "bare" / name, "config", "uploadpack.allowAnySHA1InWant", "true")
        work = self.root / "work" / name
        work.mkdir(parents=True)
        git(work, "init", "-q", "-b", "main", *options)
        git(work, "remote", "add", "origin", str(self.root / "bare" / name))
        return work

    def commit(self, name: str, files: dict[str, str | None], *, branch: str = "main", tag: str = "") -> str:
        """Write files and push them; None is a link to itself. The commit."""
        work = self.root / "work" / name
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(content or "")
        git(work, "add", "-A")
        git(work, "commit", "-q", "--allow-empty", "-m", "x")
        if tag:
            git(work, "tag", "-a", tag, "-m", tag)
        return self.push(name, branch)

    def push(self, name: str, branch: str = "main") -> str:
        work = self.root / "work" / name
        git(work, "push", "-q", "--force", "--tags", "origin", f"HEAD:refs/heads/{branch}")
        git(self.root / "bare" / name, "update-server-info")
        return git(work, "rev-parse", "HEAD")


def _handler(site: GitSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            """Nothing is logged."""

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if site.password and site.password not in self.headers.get("Authorization", ""):
                self._answer(401, b"", [("WWW-Authenticate", "Basic realm=x")])
                return
            (self._smart if site.smart else self._dumb)(body)

        def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _dumb(self, body: bytes) -> None:
            path = (site.root / "bare" / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
            found = path.is_file() and path.is_relative_to(site.root)
            self._answer(200 if found else 404, path.read_bytes() if found else b"", [("Content-Type", "text/plain")])

        def _smart(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(site.root / "bare"), "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": unquote(parts.path), "QUERY_STRING": parts.query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent",
            }  # fmt: skip
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            fields = [line.decode().split(": ", 1) for line in head.split(b"\r\n") if line]
            status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
            self._answer(status, rest, [(name, value) for name, value in fields if name != "Status"])

    return Handler


@contextmanager
def git_site(root: Path) -> Iterator[GitSite]:
    """Serves as long as it lasts."""
    site = GitSite(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
