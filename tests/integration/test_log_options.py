"""--log-driver and --log-opt on the real kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import Unsupported

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"


def test_without_a_log_the_output_comes_and_is_not_kept(engine: Engine) -> None:
    config = {"type": "none"}
    result = engine.containers.run(BASE, ["echo", "seen"], network="none", remove=True, log_config=config)
    assert result.stdout == "seen\n"
    container = engine.containers.create(BASE, ["echo", "seen"], network="none", log_config=config)
    container.start()
    container.wait(60)
    document = container.inspect()
    assert (document["HostConfig"]["LogConfig"], document["LogPath"]) == ({"Type": "none", "Config": {}}, "")
    assert "log" not in os.listdir(engine.store.paths.containers / container.id)
    with pytest.raises(Unsupported, match="keeps no log"):
        container.logs()


def test_a_bounded_log_keeps_the_newest_lines_and_is_followed_to_the_end(engine: Engine) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done"
    config = {"type": "local", "config": {"max-size": "16k", "max-file": "3"}}
    container = engine.containers.run(BASE, ["sh", "-c", script], network="none", detach=True, log_config=config)
    followed = [line.text for line in container.logs(follow=True)]
    assert followed[-1] == "line 3000"
    container.wait(60)
    folder = Path(container.inspect()["LogPath"]).parent
    names = sorted(name for name in os.listdir(folder) if name.startswith("log"))
    assert names[0] == "log"
    assert len(names) <= 3
    # One record may hold what was read at once, up to 64 KiB, and is not cut.
    assert sum((folder / name).stat().st_size for name in names) <= 3 * (16 + 64) * 1024
    assert container.logs(tail=5).text.split("\n")[-2] == "line 3000"


def test_json_file_is_the_local_log_with_a_warning_and_keeps_its_name_and_its_one_file(engine: Engine) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done"
    config = {"type": "json-file", "config": {"max-size": "16k"}}
    container = engine.containers.run(BASE, ["sh", "-c", script], network="none", detach=True, log_config=config)
    assert container.wait(60) == 0
    document = container.inspect()
    assert document["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "16384"}}
    assert [name for name in os.listdir(Path(document["LogPath"]).parent) if name.startswith("log")] == ["log"]
    assert container.logs(tail=1).text == "line 3000\n"
    assert [text for text in container.warnings if "--log-driver json-file is the same as local" in text]
    assert "--log-driver json-file" in container.explain().docker
    plain = engine.containers.run(BASE, ["echo", "kept"], network="none", detach=True, log_config={"type": "json-file"})
    assert plain.wait(60) == 0
    assert plain.logs().text == "kept\n"
