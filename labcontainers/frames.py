"""Rows of values as pandas' DataFrames, for whoever has pandas; it must not know what the rows tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labcontainers.errors import Unsupported


def data_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> Any:
    """A DataFrame with these `columns`, which are the keys of `rows` else. Raises Unsupported where pandas is not installed."""
    try:
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]  # it may be there or not
    except ImportError:
        raise Unsupported("no pandas here to make a DataFrame", "`%pip install pandas`; `.rows` and `.to_json()` do without") from None
    return pandas.DataFrame(list(rows), columns=None if columns is None else list(columns))


def moment(time_s: float) -> datetime:
    """Seconds since the epoch as pandas takes them for a time (datetime64), in UTC."""
    return datetime.fromtimestamp(time_s, UTC)
