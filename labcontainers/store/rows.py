"""Rows of one database as values of their kinds: how all tables are read and written; it must not know any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from labcontainers.store.database import Database

Row = TypeVar("Row")


class Rows:
    """The tables of the database at `path`; `tables` names that of each kind of row, whose fields are its columns."""

    def __init__(self, path: Path, migrations: Sequence[str], tables: Mapping[type, str]) -> None:
        self._database = Database(path, migrations)
        self._select = {kind: f"SELECT {', '.join(column.name for column in fields(kind))} FROM {name}" for kind, name in tables.items()}

    def close(self) -> None:
        """Close every thread's connection. Idempotent."""
        self._database.close()

    def check(self) -> list[str]:
        """What SQLite itself finds wrong with the database."""
        return self._database.check()

    def _all(self, kind: type[Row], rest: str, *values: Any) -> list[Row]:
        with self._database.use() as connection:
            return [kind(*row) for row in connection.execute(self._select[kind] + rest, values).fetchall()]

    def _one(self, kind: type[Row], rest: str, *values: Any) -> Row | None:
        with self._database.use() as connection:
            row = connection.execute(self._select[kind] + rest, values).fetchone()
        return None if row is None else kind(*row)

    def _texts(self, statement: str) -> list[str]:
        """The first column of each row."""
        with self._database.use() as connection:
            return [row[0] for row in connection.execute(statement).fetchall()]

    def _write(self, statement: str, *values: Any) -> int:
        with self._database.use() as connection:
            return connection.execute(statement, values).rowcount
