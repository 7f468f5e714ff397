"""What made an image: the entries of its config with the sizes of their layers, as Docker tells it."""

from __future__ import annotations

from labcontainers.images.history import History
from labcontainers.oci.image_config import HistoryEntry

ENTRIES = (
    HistoryEntry("2024-01-01T00:00:00Z", "ADD rootfs.tar /"),
    HistoryEntry("2024-01-02T00:00:00.5Z", "ENV A=<b>", "buildkit.dockerfile.v0", empty_layer=True),
    HistoryEntry("", "RUN make", "last"),
)


def test_only_entries_with_a_layer_have_a_size_and_only_the_last_is_an_image() -> None:
    history = History(ENTRIES, ["sha256:a", "sha256:b"], [10, 20], "sha256:" + "1" * 64, ("app:1",))
    assert [(step.size_bytes, step.diff_id) for step in history.steps] == [(10, "sha256:a"), (0, ""), (20, "sha256:b")]
    assert [step.image_id[:8] for step in history.steps] == ["", "", "sha256:1"]
    assert [step.tags for step in history.steps] == [(), (), ("app:1",)]


def test_its_documents_are_dockers_newest_first() -> None:
    history = History(ENTRIES, ["sha256:a", "sha256:b"], [10, 20], "sha256:1", ("app:1",))
    assert history.to_json() == [
        {"Id": "sha256:1", "Created": -62135596800, "CreatedBy": "RUN make", "Tags": ["app:1"], "Size": 20, "Comment": "last"},
        {"Id": "<missing>", "Created": 1704153600, "CreatedBy": "ENV A=<b>", "Tags": None, "Size": 0, "Comment": "buildkit.dockerfile.v0"},
        {"Id": "<missing>", "Created": 1704067200, "CreatedBy": "ADD rootfs.tar /", "Tags": None, "Size": 10, "Comment": ""},
    ]


def test_it_is_the_entries_of_the_config_which_can_be_cut_and_compared() -> None:
    history = History(ENTRIES)
    assert history == ENTRIES
    assert history[:2] == ENTRIES[:2]
    assert history[-1].created_by == "RUN make"


def test_a_history_that_tells_of_more_layers_than_there_are_has_no_sizes_for_them() -> None:
    assert [step.size_bytes for step in History(ENTRIES, ["sha256:a"], [10]).steps] == [10, 0, 0]


def test_it_shows_the_newest_at_the_top_and_no_mark_up_of_others() -> None:
    history = History(ENTRIES, ["sha256:a", "sha256:b"], [10, 2000], "sha256:" + "1" * 64)
    lines = repr(history).splitlines()
    assert lines[0].split() == ["N/A", "2kB", "RUN", "make"]
    assert lines[2].endswith("10B  ADD rootfs.tar /")
    page = history._repr_html_()
    assert page.index("RUN make") < page.index("ADD rootfs.tar /")
    assert "ENV A=&lt;b&gt;" in page
    assert repr(History(())) == "no history"
