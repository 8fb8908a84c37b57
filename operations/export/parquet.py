"""Tables as Parquet files, through pyarrow where it is installed: 55 MB that a service without such files never needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import IO, Any

from core.errors import MisconfiguredError
from operations.export import tables

AT_ONCE = 10_000
"""Rows of a row group, and of what is held in memory."""
NOT_INSTALLED = (
    "Parquet needs pyarrow, which is not installed: .venv/bin/pip install --require-hashes -r requirements-parquet.txt"
)


def write(columns: Sequence[str], rows: Iterable[Sequence[Any]], target: IO[bytes]) -> None:
    """Write rows with these columns, typed by their names, also when there is none. MisconfiguredError without pyarrow."""
    arrow, parquet = _library()
    schema = arrow.schema([(name, _type(arrow, name)) for name in columns])
    given = iter(rows)
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        while group := list(islice(given, AT_ONCE)):
            by_column = zip(columns, zip(*group, strict=True), strict=True)
            arrays = [
                arrow.array([tables.typed(name, value) for value in values], type=schema.field(name).type)
                for name, values in by_column
            ]
            writer.write_table(arrow.table(arrays, schema=schema))


def check() -> None:
    """MisconfiguredError unless Parquet can be written here; before a file is opened."""
    _library()


def _library() -> tuple[Any, Any]:
    # Here, not at the top: it is optional.
    try:
        import pyarrow  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise MisconfiguredError(NOT_INSTALLED) from error
    return pyarrow, pyarrow.parquet


def _type(arrow: Any, name: str) -> Any:
    kinds = {
        "time": arrow.timestamp("us", tz="UTC"),
        "day": arrow.date32(),
        "clock": arrow.time64("us"),
        "number": arrow.float64(),
        "count": arrow.int64(),
        "flag": arrow.bool_(),
        "words": arrow.list_(arrow.string()),
    }
    return kinds.get(tables.KINDS.get(name, "text"), arrow.string())
