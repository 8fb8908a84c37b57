"""The one table of the wire's names: nothing behind it knows them.

Each field has the name it bears inside (and in fused events and warnings), the attribute of `LifecycleEvent` it fills,
the names it goes by on the wire, best first, and its reader. Of several names with a value the first one counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple

from core.lifecycle import Kind
from telemetry.dialects import values
from telemetry.dialects.values import Reader

TRADE_ID = re.compile(r"[0-9A-Za-z_:.-]{1,100}")
TRADE_ID_NAMES = ("trade_id", "signal_id")
KIND_NAMES = ("event_type", "automation_stage", "type")
RESOLUTION = "resolution_type"

KINDS = {kind.value: kind for kind in Kind} | {
    "SIGNAL_DETECTED": Kind.SIGNAL_CREATED,
    "CONFIRMATION_DETECTED": Kind.ENTRY,
    "TRADE_ACTIVATED": Kind.ENTRY,
    "EXIT_BREAK_EVEN": Kind.EXIT_BE,
    "EXIT_STOP_LOSS": Kind.EXIT_SL,
    "SIGNAL_COMPLETED": Kind.EXIT_SL,
    "EXIT_TAKE_PROFIT": Kind.EXIT_TP,
    "EXIT_TARGET": Kind.EXIT_TP,
    "SIGNAL_CANCELLED": Kind.CANCELLED,
}
RESOLVED = "TRADE_RESOLVED"
RESOLUTIONS = {
    "STOP_LOSS": Kind.EXIT_SL,
    "BREAK_EVEN": Kind.EXIT_BE,
    "TAKE_PROFIT": Kind.EXIT_TP,
    "TARGET": Kind.EXIT_TP,
}
HEARTBEATS = frozenset({"HEARTBEAT", "HEALTH_STATUS"})
MFE_BATCH = "MFE_UPDATE_BATCH"
EVENT_BATCH = "EVENT_BATCH"


KIND_WORDS = frozenset({*KINDS, *HEARTBEATS, RESOLVED, MFE_BATCH, EVENT_BATCH})


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `read` is None for times, which are read together (see `times`)."""

    name: str
    attribute: str
    wire_names: tuple[str, ...]
    read: Reader | None


def _field(name: str, read: Reader | None, *aliases: str, attribute: str = "") -> Field:
    return Field(name, attribute or name, (name, *aliases), read)


_FIELDS = (
    _field("direction", values.direction),
    _field("symbol", values.text(50), "ticker"),
    _field("timeframe", values.text(20), "interval"),
    _field("bias", values.text(20)),
    _field("session_label", values.text(50), "session"),
    _field("entry_price", values.price, "entry", "actual_entry_price"),
    _field("stop_loss", values.price, "sl_price", "stop", "stop_loss_price"),
    _field("current_price", values.price),
    _field("exit_price", values.price, "resolution_price"),
    _field("risk_distance", values.price, "risk"),
    _field("be_mfe", values.mfe, "be_mfe_R", "mfe_R", "final_be_mfe", attribute="be_mfe_r"),
    _field(
        "no_be_mfe",
        values.mfe,
        *("no_be_mfe_R", "final_no_be_mfe", "mfe", "current_mfe", "initial_mfe"),
        attribute="no_be_mfe_r",
    ),
    # `mae_R` is missing on purpose: an early script sent the No-BE MFE under that name.
    _field("mae_global_r", values.mae, "mae_global_R", "mae_R_global", "mae", attribute="mae_r"),
    _field("final_be_mfe", values.mfe, attribute="final_be_mfe_r"),
    _field("final_no_be_mfe", values.mfe, attribute="final_no_be_mfe_r"),
    _field("bars_to_confirmation", values.count),
    _field("bars_pending", values.count),
    _field("reason", values.text(200), "exit_reason", "completion_reason", "cancel_reason", "cancellation_reason"),
    _field("cancelled_by", values.text(100)),
    _field("targets", values.table),
    _field("setup", values.table),
    _field("market_state", values.table),
    _field("htf_alignment", values.table),
    _field("sequence_number", values.sequence, "sequence", "seq"),
    _field("event_id", values.text(100)),
    _field("confirmation_time", None),
    _field("signal_time", None, "triangle_time", "time"),
    _field("signal_date", None, "date"),
    Field(
        "event_time",
        "event_time",
        ("cancelled_time", "exit_timestamp", "event_timestamp", "event_time", "timestamp", "bar_time"),
        None,
    ),
)

FINAL_MFE_NAMES = ("final_mfe_R", "final_mfe")
_LEG_THAT_ENDS = {Kind.EXIT_BE: "be_mfe", Kind.EXIT_SL: "no_be_mfe", Kind.EXIT_TP: "no_be_mfe"}


def _with_final_mfe(field: Field, leg: str | None) -> Field:
    if leg is None or field.name not in (leg, f"final_{leg}"):
        return field
    return Field(field.name, field.attribute, (*field.wire_names, *FINAL_MFE_NAMES), field.read)


FIELDS: dict[Kind | None, tuple[Field, ...]] = {None: _FIELDS} | {
    kind: tuple(_with_final_mfe(field, _LEG_THAT_ENDS.get(kind)) for field in _FIELDS) for kind in Kind
}
"""The fields of each kind: `final_mfe_R` belongs to the leg that the exit ends. None: envelopes and heartbeats."""

ATTRIBUTES = {field.name: field.attribute for field in _FIELDS}
"""Name inside -> attribute of `LifecycleEvent`."""

TIMES = tuple(field.name for field in _FIELDS if field.read is None)
READERS = {field.name: field.read for field in _FIELDS if field.read}

INHERITED = tuple(field for field in _FIELDS if field.name in {"symbol", "timeframe", "event_time", "sequence_number"})
"""What the members of a batch take from its envelope where they do not say it themselves."""

EXPECTED: dict[Kind, tuple[str, ...]] = {
    Kind.SIGNAL_CREATED: ("direction", "event_time"),
    Kind.ENTRY: ("direction", "entry_price", "stop_loss", "event_time"),
    Kind.MFE_UPDATE: ("be_mfe", "no_be_mfe", "event_time"),
    Kind.BE_TRIGGERED: ("event_time",),
    Kind.EXIT_BE: ("event_time",),
    Kind.EXIT_SL: ("event_time",),
    Kind.EXIT_TP: ("exit_price", "event_time"),
    Kind.CANCELLED: ("event_time",),
}
"""What a kind ought to say: its absence is flagged as `<name>_missing`, and changes nothing else."""

_NAMES = frozenset({*(name for field in _FIELDS for name in field.wire_names), *FINAL_MFE_NAMES})
_CONSUMED = frozenset({*TRADE_ID_NAMES, *KIND_NAMES})
_INSIDE = {wire_name: field.name for field in reversed(_FIELDS) for wire_name in field.wire_names}


def name_inside(wire_name: str) -> str:
    """The name that a key of the wire bears inside; its own if the table does not know it."""
    return _INSIDE.get(wire_name, wire_name)


def rename(wire: dict[str, Any], kind: Kind | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split what came into (known fields under their names inside, everything else as it came)."""
    layout = _layout(tuple([key for key in wire if key in _NAMES]), kind)
    known = {name: wire[wire_names[0]] for name, wire_names in layout.fields}
    used: frozenset[str] | set[str] = layout.usual
    if NoneType in map(type, known.values()):  # then the next name that is not null is meant
        known, used = {}, set(_CONSUMED)
        for name, wire_names in layout.fields:
            wire_name = next((one for one in wire_names if wire[one] is not None), None)
            if wire_name is not None:
                known[name] = wire[wire_name]
                used.add(wire_name)
    return known, {key: value for key, value in wire.items() if key not in used}


class _Layout(NamedTuple):
    """The fields that are present, each with its names on the wire, best first; the keys used if none of those is null."""

    fields: tuple[tuple[str, tuple[str, ...]], ...]
    usual: frozenset[str]


@lru_cache(maxsize=512)
def _layout(keys: tuple[str, ...], kind: Kind | None) -> _Layout:
    """How an alert with these keys is read.

    Alerts have few shapes; only names of the table come in, so that no sender can fill the cache with his own.
    """
    present = frozenset(keys)
    named = ((field.name, tuple(name for name in field.wire_names if name in present)) for field in FIELDS[kind])
    found = tuple((name, wire_names) for name, wire_names in named if wire_names)
    return _Layout(found, _CONSUMED | {wire_names[0] for _, wire_names in found})
