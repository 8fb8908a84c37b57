"""What the API of hybrid sync takes, checked at the door."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from database.storable import MAX_ID, NO_NUL
from hybrid_sync.gaps import GAP_TYPES

ACTIONS = (
    *("gap_detected", "gap_filled_mfe_mae", "gap_filled_metadata", "gap_filled_htf_alignment"),
    *("gap_filled_confirmation_time", "gap_filled_targets", "missed_exit_inserted", "cancellation_inferred"),
    *("event_imported", "reconciliation_attempted", "reconciliation_failed", "repair_revoked"),
)


def _known_gap(name: str) -> str:
    if name not in GAP_TYPES:
        raise ValueError("must be one of " + ", ".join(GAP_TYPES))
    return name


def _known_action(name: str) -> str:
    if name not in ACTIONS:
        raise ValueError("must be one of " + ", ".join(ACTIONS))
    return name


class StreamQuery(BaseModel):
    """One stream, or all of them."""

    stream: str | None = Field(
        None, max_length=64, pattern=NO_NUL, description="the stream of a script; all without it"
    )


class GapsQuery(StreamQuery):
    """A page of gaps, newest first."""

    limit: int = Field(50, ge=1, le=500)
    before_id: int | None = Field(None, ge=1, le=MAX_ID, description="only gaps with a smaller id: the next page")
    gap_type: Annotated[str, AfterValidator(_known_gap)] | None = None
    resolved: bool = Field(False, description="those that are closed, instead of the open ones")


class AuditQuery(StreamQuery):
    """A page of the audit log, newest first."""

    limit: int = Field(50, ge=1, le=500)
    before_id: int | None = Field(None, ge=1, le=MAX_ID, description="only rows with a smaller id: the next page")
    action_type: Annotated[str, AfterValidator(_known_action)] | None = None
    trade_id: str | None = Field(None, max_length=100, pattern=NO_NUL)


class RunBody(BaseModel):
    """A cycle on demand."""

    model_config = ConfigDict(extra="forbid")

    tiers: list[Annotated[int, Field(ge=0, le=4)]] = Field([0, 1, 2, 3, 4], min_length=1, max_length=5)
    dry_run: bool = Field(False, description="tell what would be done, and take it back")
    all_signals: bool = Field(False, description="look at every signal, however old")


class RevokeBody(BaseModel):
    """Which repairs of a signal to take back."""

    model_config = ConfigDict(extra="forbid")

    stream: str = Field("main", max_length=64, pattern=NO_NUL)
    trade_id: str = Field(..., min_length=1, max_length=100, pattern=NO_NUL)
    ids: list[Annotated[int, Field(ge=1, le=MAX_ID)]] | None = Field(
        None, max_length=500, description="none: all of it"
    )
