"""Tables of real containers, images and events as DataFrames."""

from __future__ import annotations

from typing import Any

from labcontainers import Engine
from labcontainers.commands.table import execute, understand


def table(engine: Engine, *words: str) -> Any:
    return execute(lambda: engine, understand(words), on_output=lambda stream, data: None).to_pandas()


def test_the_tables_of_a_store_can_be_reckoned_with(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "100"], name="measured", labels={"team": "a"}, network="none", detach=True)
    listed = table(engine, "ps").set_index("name")
    assert listed.loc["measured", ["id", "status", "command"]].tolist() == [container.id, "running", "sleep 100"]
    assert listed.loc["measured", "labels"] == {"team": "a"}
    used = table(engine, "stats", "--no-stream").set_index("name").loc["measured"]
    assert used["memory_bytes"] > 0
    assert used["memory_bytes"] == int(used["memory_bytes"])
    images = table(engine, "images").set_index("repository")
    assert images.loc["lab/base", "size_bytes"] == engine.images.get("lab/base").size_bytes
    happened = table(engine, "events", "--filter", "container=measured", "--filter", "type=container")
    assert happened["action"].tolist() == ["create", "start"]
    assert (happened["time"] >= listed.loc["measured", "created"].floor("s")).all()
