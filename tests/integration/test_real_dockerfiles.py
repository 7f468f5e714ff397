"""Dockerfiles of the kinds that people write, with the programs that they run: apt-get, gcc and make, pip, npm.

Bases are made of this machine's own programs. Indexes and mirrors are served inside of the step, on its own loopback, so that the same
holds for root and for users whose containers have no other network.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pip
import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.errors import StepFailed
from scripts.build_js import npm_command
from tests.fakes.deb_repository import Deb, Repository
from tests.fakes.host_programs import import_programs

TOOLS = ("sh", "busybox", "rm", "cat", "ls", "mkdir", "cp", "chown", "id")
SERVE = '#!/bin/sh\nexec busybox httpd -p 127.0.0.1:8000 -h "$1"\n'


class Bench:
    """An engine, and a project with its Dockerfile."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self, dockerfile: str, **options: Any) -> Build:
        self.write({"Dockerfile": dockerfile})
        return self.engine.images.build(self.folder, network="none", **options)

    def run(self, build: Build) -> str:
        return self.engine.containers.run(build.image, remove=True, network="none").stdout

    def again(self, dockerfile: str, **options: Any) -> list[str]:
        """What is not from the cache when it is built once more."""
        return [step.text for step in self.build(dockerfile, **options).steps if not step.cached]


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    (tmp_path / "project").mkdir()
    return Bench(engine, tmp_path / "project")


# --- Debian's packages


APT = """\
# syntax=docker/dockerfile:1
FROM debian:test
ENV DEBIAN_FRONTEND=noninteractive
RUN --mount=type=bind,from=mirror,target=/mirror serve /mirror && apt-get update \\
    && apt-get install -y --no-install-recommends \\
        greeter \\
    && rm -rf /var/lib/apt/lists/*
COPY docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["greeter"]
"""
# what an image of Debian has of users, and of packages
PASSWD = "root:x:0:0:root:/root:/bin/sh\n_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n"


@pytest.mark.needs("apt", "busybox")
class TestApt:
    @pytest.fixture
    def mirror(self, engine: Engine, tmp_path: Path) -> Path:
        architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
        folders = ("lists/partial", "cache/archives/partial")
        texts = {
            "etc/passwd": PASSWD, "etc/group": "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n", "usr/local/bin/serve": SERVE,
            "etc/apt/sources.list": "deb [trusted=yes] http://127.0.0.1:8000 bookworm main\n", "var/lib/dpkg/status": "",
            "var/lib/dpkg/available": "", "var/lib/dpkg/info/format": "1\n", "var/lib/dpkg/updates/.k": "", "var/log/apt/.k": "",
            "etc/apt/apt.conf.d/.k": "", "etc/apt/preferences.d/.k": "", "var/cache/apt/archives/partial/.k": "",
            **{f"var/lib/apt/{folder}/.k": "" for folder in folders},
        }  # fmt: skip
        programs = (*TOOLS, "apt-get", "dpkg", "tar", "ldconfig", "diff", "start-stop-daemon")
        import_programs(engine, "debian:test", programs, packages=("apt", "dpkg"), texts=texts)
        repository = Repository(tmp_path / "mirror")
        config = (
            '#!/bin/sh\nset -e\n[ "$1" = configure ] && chown www-data:www-data /var/lib/greeter && echo set up > /var/lib/greeter/log\n'
        )
        greeter = {"usr/bin/greeter": ("#!/bin/sh\n. /usr/share/greeter/words\necho $WORDS\n", 0o755), "var/lib/greeter": None}
        repository.add(
            Deb("greeter", architecture="all", files=greeter, control={"Depends": "greeter-data (>= 1)"}, scripts={"postinst": config}),
            Deb("greeter-data", architecture="all", files={"usr/share/greeter/words": "WORDS='hello from a package'\n"}),
            Deb("greeter-extra", architecture="all"),
        )
        repository.publish(architecture=architecture)
        return repository.root

    def test_packages_are_installed_with_what_they_need(self, bench: Bench, mirror: Path) -> None:
        bench.write({"docker-entrypoint.sh": '#!/bin/sh\nset -e\necho "about to run $1"\nexec "$@"\n'})
        (bench.folder / "docker-entrypoint.sh").chmod(0o755)
        contexts = {"mirror": str(mirror)}
        built = bench.build(APT, build_contexts=contexts)
        assert "Setting up greeter (1.0-1)" in built.steps[2].output
        assert bench.run(built) == "about to run greeter\nhello from a package\n"
        shown = bench.engine.containers.run(built.image, entrypoint="sh", command=["-c", "ls /var/lib/apt/lists; cat /var/lib/greeter/log"])
        assert shown.stdout.split("\n", 1)[-1].endswith("set up\n") or shown.stdout == "set up\n"
        assert "greeter-extra" not in built.steps[2].output
        assert bench.again(APT, build_contexts=contexts) == []

    def test_a_package_that_is_not_there_fails_with_what_apt_says(self, bench: Bench, mirror: Path) -> None:
        with pytest.raises(StepFailed) as caught:
            bench.build(APT.replace("greeter \\\n", "nosuch \\\n"), build_contexts={"mirror": str(mirror)})
        assert caught.value.returncode == 100
        assert "Unable to locate package nosuch" in caught.value.output


# --- C


C = """\
FROM gcc:test AS build
WORKDIR /src
COPY Makefile *.c *.h ./
RUN make && ./app test

FROM scratch
COPY --from=build /src/app /app
ENTRYPOINT ["/app"]
CMD ["world"]
"""
MAIN = '#include <stdio.h>\n#include "greet.h"\nint main(int n, char **words) { (void)n; return puts(greeting(words[1])) < 0; }\n'
GREET = (
    '#include <stdio.h>\n#include "greet.h"\nconst char *greeting(const char *name) '
    '{ static char text[99]; snprintf(text, sizeof text, "hello, %s", name); return text; }\n'
)


@pytest.mark.needs("gcc", "apt", "busybox")
class TestC:
    @pytest.fixture
    def compiler(self, engine: Engine) -> None:
        def of_gcc(name: str, how: str = "file") -> str:
            return subprocess.run(["gcc", f"-print-{how}-name={name}"], capture_output=True, text=True, check=True).stdout.strip()

        programs = [of_gcc(name, "prog") for name in ("cc1", "collect2", "as", "ld")]
        libraries = [of_gcc(name) for name in ("crtbegin.o", "crtbeginT.o", "crtend.o", "libgcc.a", "libgcc_eh.a", "liblto_plugin.so")]
        headers = of_gcc("include")
        packages = ("libc6-dev", "linux-libc-dev")
        files = [path for path in libraries if os.path.isabs(path)]
        import_programs(engine, "gcc:test", (*TOOLS, "gcc", "make", *programs), packages=packages, folders=(headers,), files=files)

    @pytest.mark.usefixtures("compiler")
    def test_a_program_is_compiled_in_one_stage_and_is_all_of_the_next(self, bench: Bench) -> None:
        make = "app: main.o greet.o\n\tgcc -static -o $@ $^\n%.o: %.c greet.h\n\tgcc -O1 -Wall -c $<\n"
        bench.write({"Makefile": make, "main.c": MAIN, "greet.c": GREET, "greet.h": "const char *greeting(const char *);\n"})
        built = bench.build(C)
        assert bench.run(built) == "hello, world\n"
        assert len(built.image.diff_ids) == 1
        assert bench.again(C) == []
        bench.write({"main.c": MAIN.replace("words[1]", '"you"')})
        assert bench.again(C)[0] == "COPY Makefile *.c *.h ./"
        # another comment gives the same program, so the next stage is what it was
        bench.write({"main.c": MAIN.replace("words[1]", '"you"') + "/* the end */\n"})
        assert bench.again(C) == ["COPY Makefile *.c *.h ./", "RUN make && ./app test"]

    @pytest.mark.usefixtures("compiler")
    def test_what_the_compiler_says_is_the_error(self, bench: Bench) -> None:
        bench.write({"main.c": "int main(void) { return nothing; }\n", "x.h": "", "Makefile": "app: main.c\n\tgcc -o $@ $<\n"})
        with pytest.raises(StepFailed) as caught:
            bench.build(C)
        assert "Dockerfile:4" in str(caught.value)
        assert "‘nothing’ undeclared" in caught.value.output or "'nothing' undeclared" in caught.value.output


# --- Python


PYTHON = """\
# syntax=docker/dockerfile:1
FROM python:test AS deps
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=index,target=/index \\
    python3 -m http.server -b 127.0.0.1 -d /index 8000 >/dev/null 2>&1 & \\
    until python3 -c "import socket; socket.create_connection(('127.0.0.1', 8000))" 2>/dev/null; do sleep 0.1; done; \\
    python -m pip install --index-url http://127.0.0.1:8000/simple -r requirements.txt

FROM python:test
WORKDIR /app
ENV PATH=/venv/bin:$PATH
COPY --from=deps /venv /venv
COPY . .
EXPOSE 8000
HEALTHCHECK CMD ["python3", "-c", "import greeting"]
CMD ["python3", "app.py"]
"""


def wheel(name: str, version: str, files: Mapping[str, str], requires: str = "", scripts: str = "") -> bytes:
    folder = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (f"Requires-Dist: {requires}\n" if requires else "")
    content = {**files, f"{folder}/METADATA": metadata, f"{folder}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    if scripts:
        content[f"{folder}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n"
    content[f"{folder}/RECORD"] = "".join(f"{path},,\n" for path in (*content, f"{folder}/RECORD"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return packed.getvalue()


GREETING = "import words\ndef main():\n    print(words.HELLO)\n"


class TestPython:
    @pytest.fixture
    def index(self, bench: Bench, tmp_path: Path) -> Path:
        text = "FROM lab/python\nCOPY --from=pip . /opt/pip/pip\nENV PYTHONPATH=/opt/pip\n"
        contexts = {"pip": pip.__path__[0]}
        bench.engine.images.build(bench.folder, dockerfile_text=text, tag="python:test", network="none", build_contexts=contexts)
        wheels = {
            "greeting": wheel("greeting", "1.2", {"greeting.py": GREETING}, "words>=2", "greet = greeting:main"),
            "words": wheel("words", "2.0", {"words.py": "HELLO = 'hello from a wheel'\n"}),
        }
        for name, data in wheels.items():
            version = "1.2" if name == "greeting" else "2.0"
            file = tmp_path / f"index/simple/{name}/{name}-{version}-py3-none-any.whl"
            file.parent.mkdir(parents=True)
            file.write_bytes(data)
            file.with_name("index.html").write_text(f'<a href="{file.name}#sha256={hashlib.sha256(data).hexdigest()}">{file.name}</a>\n')
        return tmp_path / "index"

    def test_requirements_come_from_an_index_and_the_program_from_the_project(self, bench: Bench, index: Path) -> None:
        bench.write({"requirements.txt": "greeting==1.2\n", "app.py": "import greeting\ngreeting.main()\n", ".dockerignore": ".git\n"})
        contexts = {"index": str(index)}
        built = bench.build(PYTHON, build_contexts=contexts)
        assert "Successfully installed greeting-1.2 words-2.0" in next(step.output for step in built.steps if "pip install" in step.text)
        assert bench.run(built) == "hello from a wheel\n"
        script = bench.engine.containers.run(built.image, ["greet"], remove=True, network="none")
        assert script.stdout == "hello from a wheel\n"
        assert bench.again(PYTHON, build_contexts=contexts) == []
        bench.write({"app.py": "print('changed')\n"})
        assert bench.again(PYTHON, build_contexts=contexts)[0] == "COPY . ."


# --- Node


NODE = """\
FROM node:test AS deps
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=bind,from=registry,target=/registry --mount=type=cache,target=/root/.npm serve /registry \\
    && npm ci --omit=dev --no-audit --no-fund

FROM node:test
ENV NODE_ENV=production
WORKDIR /app
COPY --from=deps /app/node_modules ./node_modules
COPY . .
CMD ["node", "index.js"]
"""


@pytest.mark.needs("node", "busybox")
class TestNode:
    @pytest.fixture
    def lock(self, bench: Bench, tmp_path: Path) -> str:
        words, path = npm_command()
        node = shutil.which("node", path=path)
        npm = os.path.realpath(shutil.which(words[-1], path=path) or words[-1])
        assert node is not None
        modules = "/usr/share/nodejs" if npm.startswith("/usr/share/nodejs/") else str(Path(npm).parents[1])
        starter = f'#!/bin/sh\nexec {os.path.realpath(node)} {npm} --fetch-retries=0 "$@"\n'
        direct = f'#!/bin/sh\nexec {os.path.realpath(node)} "$@"\n'
        texts = {"usr/local/bin/npm": starter, "usr/local/bin/node": direct, "usr/local/bin/serve": SERVE}
        import_programs(bench.engine, "node:test", (*TOOLS, os.path.realpath(node)), folders=(modules,), texts=texts)
        packed = io.BytesIO()
        files = {"package.json": json.dumps({"name": "left-word", "version": "1.0.0"}), "index.js": "module.exports = 'hello from npm';\n"}
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in files.items():
                info = tarfile.TarInfo(f"package/{name}")
                info.size, info.mode = len(text), 0o644
                archive.addfile(info, io.BytesIO(text.encode()))
        place = tmp_path / "registry/left-word/-"
        place.mkdir(parents=True)
        (place / "left-word-1.0.0.tgz").write_bytes(packed.getvalue())
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed.getvalue()).digest()).decode()
        resolved = "http://127.0.0.1:8000/left-word/-/left-word-1.0.0.tgz"
        needs = {"left-word": "^1.0.0"}
        packages = {
            "": {"name": "app", "version": "1.0.0", "dependencies": needs},
            "node_modules/left-word": {"version": "1.0.0", "resolved": resolved, "integrity": integrity},
        }
        return json.dumps({"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages})

    def test_what_the_lock_names_comes_from_a_registry(self, bench: Bench, lock: str, tmp_path: Path) -> None:
        package = json.dumps({"name": "app", "version": "1.0.0", "dependencies": {"left-word": "^1.0.0"}})
        program = "console.log(require('left-word'), process.env.NODE_ENV);\n"
        bench.write({"package.json": package, "package-lock.json": lock, "index.js": program, ".dockerignore": "node_modules\n"})
        contexts = {"registry": str(tmp_path / "registry")}
        built = bench.build(NODE, build_contexts=contexts)
        assert "added 1 package" in next(step.output for step in built.steps if "npm ci" in step.text)
        assert bench.run(built) == "hello from npm production\n"
        assert bench.again(NODE, build_contexts=contexts) == []
        bench.write({"index.js": "console.log('changed');\n"})
        assert bench.again(NODE, build_contexts=contexts)[0] == "COPY . ."

    def test_another_package_than_the_lock_knows_is_refused(self, bench: Bench, lock: str, tmp_path: Path) -> None:
        package = json.dumps({"name": "app", "version": "1.0.0", "dependencies": {"left-word": "^1.0.0"}})
        (tmp_path / "registry/left-word/-/left-word-1.0.0.tgz").write_bytes(b"another")
        bench.write({"package.json": package, "package-lock.json": lock, "index.js": ""})
        with pytest.raises(StepFailed) as caught:
            bench.build(NODE, build_contexts={"registry": str(tmp_path / "registry")})
        assert "EINTEGRITY" in caught.value.output
