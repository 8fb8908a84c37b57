"""What the analytics of completed trades are computed from: one pass, sums and ordered results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from database.engine import Cursor
from database.queries import queries
from database.states import Selection

SQL = queries("analytics")
MOST_RESULTS = 200_000


def sum_trades(
    cur: Cursor,
    *,
    streams: Sequence[str],
    selection: Selection,
    target: int,
    edges: Sequence[Decimal],
    depths: Sequence[Decimal],
) -> Any:
    """One row over the completed trades of a selection; `target` 0 takes results as recorded, 1 to 20 leaves there.

    `groups`: [dimension, name, BE result, No-BE result, trades]; `reaches`: [bucket of the No-BE MFE, of the BE MFE, BE
    result, No-BE result, trades, whether bars tell its path]; `paths`, of trades whose path they tell: [place of the trigger,
    bucket of the surely and of the possibly furthest reach before the return, of the No-BE MFE, of the BE MFE, No-BE result,
    trades]; `falls`: [bucket of the MAE, did it go +1R, trades]; `times`, `be`, `no_be`: results in
    the order of their exits, the newest MOST_RESULTS of them; the rest counts what is known.
    """
    given = asdict(selection) | {"streams": list(streams), "target": target, "most": MOST_RESULTS}
    cur.execute(SQL.sum_trades, given | {"edges": list(edges), "depths": list(depths)})
    return cur.fetchone()
