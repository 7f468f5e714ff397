"""Tables as DataFrames: columns with types, also of no rows, and a hint where pandas is missing."""

from __future__ import annotations

import sys

import pandas
import pytest

from labcontainers.commands.events import EventListing
from labcontainers.commands.listing import Listing
from labcontainers.errors import Unsupported
from labcontainers.store.events import Event

EVENTS = [
    Event("container", "die", "c1", "web", {"exitCode": "3"}, 1_700_000_000_123_456_000),
    Event("volume", "create", "data", "data", {"driver": "local"}, 1_700_000_001_000_000_000),
]


def test_a_listing_gives_its_values_rather_than_its_texts() -> None:
    listing = Listing([1536, 2], {"SIZE": lambda item: f"{item} bytes"}, {"size_bytes": lambda item: item})
    assert repr(listing).splitlines()[1] == "1536 bytes"
    assert listing.to_pandas()["size_bytes"].sum() == 1538


def test_a_listing_without_values_gives_its_texts() -> None:
    assert Listing(["a"], {"NAME": str}).to_pandas().to_dict("list") == {"NAME": ["a"]}


def test_the_columns_are_the_same_where_there_are_no_rows() -> None:
    assert list(EventListing([]).to_pandas().columns) == list(EventListing(EVENTS).to_pandas().columns)


def test_events_have_times_that_can_be_reckoned_with() -> None:
    frame = EventListing(EVENTS).to_pandas()
    assert isinstance(frame["time"].dtype, pandas.DatetimeTZDtype)
    assert (frame["time"][1] - frame["time"][0]).total_seconds() == pytest.approx(0.876544)
    assert frame["attributes"][0] == {"exitCode": "3", "name": "web"}


def test_events_print_as_docker_does_and_are_a_table_in_a_notebook() -> None:
    listing = EventListing(EVENTS)
    first = repr(listing).splitlines()[0]
    assert first.endswith(" container die c1 (exitCode=3, name=web)")
    assert "<th" in listing._repr_html_()
    assert "exitCode=3, name=web" in listing._repr_html_()
    assert listing[1].action == "create"


def test_without_pandas_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(Unsupported) as told:
        EventListing(EVENTS).to_pandas()
    assert "%pip install pandas" in told.value.hint
