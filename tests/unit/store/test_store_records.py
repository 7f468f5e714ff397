"""Rows: put, found, listed, renamed, removed, with conflicts named; from many threads, and quickly."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from labcontainers.errors import Conflict, Failed, NotFound, Unavailable, Unsupported
from labcontainers.store.cache_rows import CacheRow
from labcontainers.store.database import Database
from labcontainers.store.records import ContainerRow, ImageRow, LayerRow, ManifestRow, NetworkRow, Records

ONE = ContainerRow("1" * 64, "one", "lab/base", "sha256:i", '{"a": 1}', 1.5)
TWO = replace(ONE, id="2" * 64, name="two", created_at=2.5)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(tmp_path / "records.sqlite")
    yield opened
    assert opened.check() == []
    opened.close()


class TestContainers:
    def test_what_is_put_is_found_by_id_and_by_name(self, records: Records) -> None:
        records.put_container(ONE)
        assert records.find_container(ONE.id) == records.find_container_by_name("one") == ONE
        assert records.find_container("x") is None
        assert records.find_container_by_name("x") is None

    def test_a_name_in_use_is_a_conflict_that_names_its_owner(self, records: Records) -> None:
        records.put_container(ONE)
        with pytest.raises(Conflict, match=ONE.id):
            records.put_container(replace(TWO, name="one"))
        assert records.list_containers() == [ONE]

    def test_they_are_listed_by_age(self, records: Records) -> None:
        records.put_container(TWO)
        records.put_container(ONE)
        assert records.list_containers() == [ONE, TWO]

    def test_another_name_is_given_unless_it_is_in_use(self, records: Records) -> None:
        records.put_container(ONE)
        records.put_container(TWO)
        records.rename_container(ONE.id, "new")
        with pytest.raises(Conflict, match=TWO.id):
            records.rename_container(ONE.id, "two")
        with pytest.raises(NotFound):
            records.rename_container("3" * 64, "three")
        assert records.find_container_by_name("new") == replace(ONE, name="new")

    def test_another_document_is_kept_and_the_rest_stays(self, records: Records) -> None:
        records.put_container(ONE)
        records.put_container(TWO)
        records.rewrite_container(ONE.id, '{"new": 1}')
        with pytest.raises(NotFound):
            records.rewrite_container("3" * 64, "{}")
        assert records.find_container(ONE.id) == replace(ONE, document='{"new": 1}')
        assert records.find_container(TWO.id) == TWO

    def test_a_removed_one_leaves_its_name_free(self, records: Records) -> None:
        records.put_container(ONE)
        records.remove_container(ONE.id)
        records.remove_container(ONE.id)
        records.put_container(replace(TWO, name="one"))
        assert [row.id for row in records.list_containers()] == [TWO.id]


class TestImages:
    def test_a_reference_names_the_last_manifest_it_was_given(self, records: Records) -> None:
        records.put_image("r", "m1", "c1", 1.0)
        records.put_image("r", "m2", "c2", 2.0)
        records.put_image("a", "m2", "c2", 3.0)
        assert records.find_image("r") == ImageRow("r", "m2", "c2", 2.0)
        assert [row.reference for row in records.list_images()] == ["a", "r"]
        records.remove_image("r")
        assert records.find_image("r") is None

    def test_a_manifest_stays_without_a_reference(self, records: Records) -> None:
        records.put_manifest("m", "c", 10, 1.0)
        records.put_manifest("m", "c", 10, 9.0)
        assert records.find_manifest("m") == ManifestRow("m", "c", 10, 1.0)
        assert records.list_manifests() == [ManifestRow("m", "c", 10, 1.0)]
        records.remove_manifest("m")
        assert records.list_manifests() == []

    def test_a_layer_is_kept_once(self, records: Records) -> None:
        for at in (1.0, 2.0):
            records.put_layer(LayerRow("chain", "diff", "", 5, at))
        assert records.find_layer("chain") == LayerRow("chain", "diff", "", 5, 1.0)
        assert records.list_layers() == [LayerRow("chain", "diff", "", 5, 1.0)]
        records.remove_layer("chain")
        assert records.find_layer("chain") is None


def test_a_cached_result_is_listed_by_when_it_was_last_used(records: Records) -> None:
    records.put_cache("a", "{}", 1.0)
    records.put_cache("b", "{}", 2.0)
    records.touch("a", 3.0)
    assert records.find_cache("a") == CacheRow("a", "{}", 1.0, 3.0, uses=2)
    assert [row.key for row in records.list_cache()] == ["b", "a"]
    records.remove_cache("a")
    assert records.find_cache("a") is None


class TestNetworks:
    def test_a_network_is_found_by_its_name_which_is_taken_once(self, records: Records) -> None:
        row = NetworkRow("id", "net", "bridge", "{}")
        records.put_network(row)
        assert records.find_network("net") == row
        with pytest.raises(Conflict, match="net"):
            records.put_network(replace(row, id="other"))
        records.remove_network("net")
        assert records.list_networks() == []

    def test_a_container_keeps_the_address_that_it_has(self, records: Records) -> None:
        assert records.claim_address("n", "c1", lambda taken: "10.0.0.2") == "10.0.0.2"
        assert records.claim_address("n", "c1", lambda taken: "10.0.0.9") == "10.0.0.2"
        assert records.claim_address("m", "c1", lambda taken: "10.1.0.2") == "10.1.0.2"
        records.release_addresses("c1")
        assert records.list_addresses("n") == records.list_addresses("m") == {}

    def test_an_error_of_who_chooses_claims_nothing(self, records: Records) -> None:
        def choose(taken: set[str]) -> str:
            raise KeyError

        with pytest.raises(KeyError):
            records.claim_address("n", "c", choose)
        assert records.list_addresses("n") == {}

    def test_no_address_is_given_twice_to_threads_that_claim_at_once(self, records: Records) -> None:
        def choose(taken: set[str]) -> str:
            return next(address for address in map(str, range(1000)) if address not in taken)

        with ThreadPoolExecutor(8) as pool:
            given = list(pool.map(lambda number: records.claim_address("n", str(number), choose), range(50)))
        assert sorted(map(int, given)) == list(range(50))


class TestThreads:
    def test_threads_put_and_remove_at_once(self, records: Records) -> None:
        def work(number: int) -> None:
            row = replace(ONE, id=f"{number:064}", name=f"n{number}")
            records.put_container(row)
            records.rename_container(row.id, f"m{number}")
            assert records.find_container_by_name(f"m{number}") is not None
            if number % 2:
                records.remove_container(row.id)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(80)))
        assert len(records.list_containers()) == 40

    def test_threads_share_connections_and_few_stay_open(self, tmp_path: Path) -> None:
        database = Database(tmp_path / "r.sqlite", ["CREATE TABLE t (x INTEGER)"])

        def open_files(end: str) -> int:
            return sum(str(path.readlink()).endswith(end) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())

        def look() -> None:
            with database.use() as connection:
                assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
                together.wait(20)

        for count in (1, 1, 1, 20):
            together = threading.Barrier(count)
            threads = [threading.Thread(target=look) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            # each connection has its log open; the database itself is kept open by SQLite as long as it is locked
            assert 0 < open_files("r.sqlite-wal") <= (1 if count == 1 else 4)
        database.close()
        assert open_files("r.sqlite") == open_files("r.sqlite-wal") == 0

    def test_close_ends_every_thread_with_a_clear_error(self, tmp_path: Path) -> None:
        records = Records(tmp_path / "r.sqlite")
        errors: list[Exception] = []
        ready = threading.Barrier(5)

        def work() -> None:
            records.list_containers()
            ready.wait()
            try:
                while True:
                    records.put_cache("k", "{}", 1.0)
                    records.list_cache()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        ready.wait()
        time.sleep(0.02)
        records.close()
        records.close()
        for thread in threads:
            thread.join(20)
        assert [type(error) for error in errors] == [Unavailable] * 4
        with pytest.raises(Unavailable):
            records.list_containers()


class TestFile:
    def test_rows_survive_a_new_start(self, tmp_path: Path) -> None:
        first = Records(tmp_path / "r.sqlite")
        first.put_container(ONE)
        first.close()
        second = Records(tmp_path / "r.sqlite")
        assert second.list_containers() == [ONE]
        second.close()

    def test_the_cache_of_an_older_store_gets_counts_of_uses(self, tmp_path: Path) -> None:
        path = tmp_path / "r.sqlite"
        Records(path).close()
        with sqlite3.connect(path) as connection:
            connection.execute("ALTER TABLE cache DROP COLUMN uses")
            connection.execute("ALTER TABLE cache DROP COLUMN about")
            connection.execute("INSERT INTO cache VALUES ('step:a', '{}', 1.0, 2.0)")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version={version - 1}")
        connection.close()
        records = Records(path)
        records.touch("step:a", 3.0)
        assert records.list_cache_from("step:") == [CacheRow("step:a", "{}", 1.0, 3.0, uses=2)]
        assert records.list_cache_from("mount:") == []
        records.remove_cached(["step:a", "step:b"])
        assert records.list_cache() == []
        records.close()

    def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "r.sqlite") as connection:
            connection.execute("PRAGMA user_version=999")
        connection.close()
        with pytest.raises(Unsupported, match="newer version"):
            Records(tmp_path / "r.sqlite")

    def test_a_database_is_brought_from_its_version_to_the_last_and_failed_steps_leave_it(self, tmp_path: Path) -> None:
        path = tmp_path / "d.sqlite"
        make, broken = "CREATE TABLE t (x)", "INSERT INTO t VALUES (3); NONSENSE"
        fill = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"
        Database(path, [make]).close()
        with pytest.raises(Failed, match="NONSENSE"):
            Database(path, [make, broken])
        database = Database(path, [make, fill])
        with database.use() as connection:
            assert connection.execute("SELECT x FROM t").fetchall() == [(1,), (2,)]
        database.close()
        Database(path, [make, fill]).close()

    def test_what_is_no_database_fails_with_its_path(self, tmp_path: Path) -> None:
        (tmp_path / "r.sqlite").write_text("not a database, and long enough to be read as one" * 100)
        with pytest.raises(Failed, match=r"r\.sqlite"):
            Records(tmp_path / "r.sqlite")

    def test_it_is_written_ahead_and_not_synced_on_the_hot_path(self, tmp_path: Path) -> None:
        database = Database(tmp_path / "d.sqlite", [])
        with database.use() as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
        database.close()


def best_of(times: int, work: Callable[[int], object]) -> float:
    durations = []
    for number in range(times):
        start = time.perf_counter()
        work(number)
        durations.append(time.perf_counter() - start)
    return sorted(durations)[times // 2]


def test_putting_and_finding_a_container_takes_less_than_a_millisecond(records: Records) -> None:
    def work(number: int) -> None:
        records.put_container(replace(ONE, id=f"{number:064}", name=f"n{number}", document="x" * 2000))
        records.find_container(f"{number:064}")

    assert best_of(101, work) < 0.001
