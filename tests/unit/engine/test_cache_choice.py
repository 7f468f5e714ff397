"""Which records of the build cache go first, and how many; the filters; and the settings of what goes by itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from labcontainers.engine.cache_choice import Kept, chosen, eldest_first
from labcontainers.engine.cache_filters import cache_filter
from labcontainers.engine.cache_told import CacheUsage, CacheUsages, PrunedBuilds, own_bytes
from labcontainers.engine.gc_settings import GcSettings, load_gc_settings
from labcontainers.errors import InvalidArgument
from labcontainers.store.cache_rows import CacheRow

GIB = 1 << 30


def step(name: str, used_at: float, size: int = 10, parent: str = "", *, shared: bool = False, chain: str = "") -> CacheUsage:
    return CacheUsage(CacheRow(f"step:{name}", "", 1.0, used_at, about=f"RUN {name}"), shared, size, chain or f"sha256:{name}", parent)


def folder(name: str, used_at: float, size: int = 10, *, in_use: bool = False) -> CacheUsage:
    return CacheUsage(CacheRow(f"mount:{name}", "", 1.0, used_at), False, size, in_use=in_use)


def names(records: Any) -> list[str]:
    return [one.id for one in records]


class TestOrder:
    def test_what_was_used_longest_ago_goes_first(self) -> None:
        assert names(eldest_first([step("b", 2.0), folder("c", 3.0), step("a", 1.0)])) == ["a", "b", "c"]

    def test_no_layer_goes_before_those_that_lie_on_it(self) -> None:
        low, high = step("low", 1.0), step("high", 5.0, parent="sha256:low")
        assert names(eldest_first([low, high, step("x", 3.0)])) == ["x", "high", "low"]

    def test_it_holds_for_any_tree(self) -> None:
        chance = random.Random(7)
        for _ in range(50):
            records: list[CacheUsage] = []
            for number in range(30):
                parent = chance.choice(records).chain if records and chance.random() < 0.8 else ""
                records.append(step(str(number), chance.random() * 10, parent=parent))
            order = [one.chain for one in eldest_first(records)]
            assert all(order.index(one.chain) < order.index(one.parent) for one in records if one.parent)

    def test_a_ring_of_damaged_records_is_no_endless_loop(self) -> None:
        assert len(eldest_first([step("a", 1.0, parent="sha256:b"), step("b", 2.0, parent="sha256:a")])) == 2


class TestLimit:
    CASES = (
        (Kept(), 100, 5, None),
        (Kept(reserved_bytes=30), 100, 5, 30),
        (Kept(most_bytes=60), 100, 5, 60),
        (Kept(free_bytes=20), 100, 5, 85),
        (Kept(free_bytes=20), 100, 25, 100),
        (Kept(most_bytes=60, free_bytes=50), 100, 5, 55),
        (Kept(reserved_bytes=58, most_bytes=60, free_bytes=50), 100, 5, 58),
        (Kept(free_bytes=1000), 100, 5, 0),
    )

    @pytest.mark.parametrize(("kept", "used", "free", "limit"), CASES)
    def test_what_may_stay(self, kept: Kept, used: int, free: int, limit: int | None) -> None:
        assert kept.limit(used, free) == limit

    def test_without_a_limit_all_candidates_go_and_with_one_the_eldest_until_it_is_met(self) -> None:
        records = [step("a", 1.0), step("b", 2.0), folder("c", 3.0), step("d", 4.0, shared=True)]
        assert chosen(records, records[:2], Kept(), 0) == records[:2]
        assert names(chosen(records, records, Kept(most_bytes=20), 0)) == ["a"]
        assert names(chosen(records, records, Kept(most_bytes=1), 0)) == ["a", "b", "c"]
        assert chosen(records, records, Kept(most_bytes=30), 0) == []

    def test_a_layer_that_two_records_have_is_free_with_the_second(self) -> None:
        records = [step("a", 1.0, chain="sha256:x"), step("b", 2.0, chain="sha256:x"), step("c", 3.0)]
        assert own_bytes(records) == 20
        assert names(chosen(records, records, Kept(most_bytes=15), 0)) == ["a", "b"]


class TestFilters:
    RECORDS = (step("a1", 100.0), step("b", 200.0, shared=True), folder("c", 300.0, in_use=True))

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({}, "a1 b c"),
            ({"until": "150"}, "a1"),
            ({"unused-for": "1h"}, "a1 b c"),
            ({"id": "a"}, "a1"),
            ({"type": ["regular"]}, "a1 b"),
            ({"type": "exec.cachemount"}, "c"),
            ({"shared": "true"}, "b"),
            ({"private": "1", "mutable": "false"}, "a1"),
            ({"inuse": ["true"]}, "c"),
            ({"description": "RUN"}, "a1 b"),
            ({"type": ["regular", "exec.cachemount"], "immutable": "false"}, "c"),
        ],
    )
    def test_records_are_chosen(self, filters: dict[str, Any], found: str) -> None:
        assert names(one for one in self.RECORDS if cache_filter(filters).takes(one)) == found.split()

    @pytest.mark.parametrize(
        ("filters", "words"),
        [
            ({"nope": "1"}, "nope"),
            ({"shard": "1"}, "shard"),
            ({"type": "x"}, "type=x"),
            ({"until": "x"}, "until=x"),
            ({"inuse": "x"}, "inuse=x"),
        ],
    )
    def test_what_is_none_is_refused(self, filters: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidArgument, match=f"--filter: .*{words}") as caught:
            cache_filter(filters)
        assert caught.value.hint


class TestTold:
    def test_columns_and_sums_are_those_of_du(self) -> None:
        text = repr(CacheUsages([step("a", 1.0, 1000), step("b", 1.0, 500, shared=True), folder("c", 1.0, 20, in_use=True)]))
        lines = text.splitlines()
        assert lines[0].split() == ["ID", "RECLAIMABLE", "SIZE", "LAST", "ACCESSED"]
        assert [line.split()[:3] for line in lines[1:4]] == [["a", "true", "1kB"], ["b", "true", "500B*"], ["c*", "false", "20B"]]
        assert [line.split() for line in lines[4:]] == [
            ["Shared:", "500B"],
            ["Private:", "1.02kB"],
            ["Reclaimable:", "1kB"],
            ["Total:", "1.52kB"],
        ]

    def test_everything_is_told_on_demand_and_html_is_escaped(self) -> None:
        row = CacheRow("step:a", "", 1.0, 2.0, 3, "RUN <b>")
        found = CacheUsages([CacheUsage(row, False, 5)])
        paragraph = repr(found.verbose())
        assert "Usage count:    3" in paragraph
        assert "Description:    RUN <b>" in paragraph
        assert "Type:           regular" in paragraph
        assert "RUN &lt;b&gt;" in found._repr_html_()
        assert "<b>a" not in found._repr_html_()

    def test_a_prune_that_has_to_wait_says_so(self) -> None:
        assert repr(PrunedBuilds((), 0)) == "Total:  0B"
        assert "prune again" in repr(PrunedBuilds((), 0, waits=True))
        assert "prune again" in PrunedBuilds((), 0, waits=True)._repr_html_()


class TestSettings:
    def test_without_a_file_there_are_defaults(self, tmp_path: Path) -> None:
        settings = load_gc_settings(tmp_path)
        assert settings == GcSettings()
        assert settings.kept(10 * GIB) == Kept(2 * GIB, 6 * GIB, GIB)
        assert settings.kept(1000 * GIB).most_bytes == 20 * GIB

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("builder.toml", '[gc]\nkeep_duration = "1h"\nreserved_space = 5\nmax_used_space = "1gb"\nmin_free_space = "0"\n'),
            ("builder.json", '{"gc": {"keep_duration": 3600, "reserved_space": "5b", "max_used_space": "1024m", "min_free_space": 0}}'),
        ],
    )
    def test_a_file_says_otherwise(self, tmp_path: Path, name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        assert load_gc_settings(tmp_path) == GcSettings(True, 3600.0, 5, GIB, 0)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[gc]\nnope = 1\n", "nope"),
            ("[other]\n", "only the object gc"),
            ("gc = 1\n", "only the object gc"),
            ("[gc\n", "builder.toml"),
            ('[gc]\nmax_used_space = "x"\n', "max_used_space"),
            ("[gc]\nreserved_space = -1\n", "reserved_space"),
            ("[gc]\nmin_free_space = true\n", "min_free_space"),
            ('[gc]\nkeep_duration = "x"\n', "keep_duration"),
            ("[gc]\nenabled = 1\n", "enabled"),
        ],
    )
    def test_what_cannot_be_right_is_refused_by_its_name(self, tmp_path: Path, text: str, words: str) -> None:
        (tmp_path / "builder.toml").write_text(text)
        with pytest.raises(InvalidArgument, match=words) as caught:
            load_gc_settings(tmp_path)
        assert caught.value.hint
