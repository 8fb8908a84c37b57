"""What the telemetry API takes, checked at the door, and what it answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from database.payloads import Answer, Part
from database.storable import MAX_ID, NO_NUL

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


class DeliveryQuery(BaseModel):
    """A page of the delivery log."""

    model_config = ConfigDict(extra="ignore")

    limit: int = Field(DEFAULT_LIMIT, description="1 to 500; 0 and less give 50, more gives 500")
    after_id: int | None = Field(None, ge=-MAX_ID, le=MAX_ID, description="only deliveries with a larger id")
    before_id: int | None = Field(
        None, ge=-MAX_ID, le=MAX_ID, description="only those with a smaller id: the next page"
    )
    status: str | None = Field(None, max_length=40, pattern=NO_NUL, description="accepted, duplicate, quarantined ...")
    dialect: str | None = Field(
        None, max_length=40, pattern=NO_NUL, description="legacy, direct, stage, telemetry, batch ..."
    )

    @property
    def page_size(self) -> int:
        return DEFAULT_LIMIT if self.limit <= 0 else min(self.limit, MAX_LIMIT)


class DeliveryPath(BaseModel):
    """One delivery."""

    delivery_id: int = Field(..., ge=1, le=MAX_ID, description="the id of the delivery")


class BackfillBody(BaseModel):
    """How many events one run of the backfill looks at; an absent body is an empty one."""

    model_config = ConfigDict(extra="ignore")

    limit: int = Field(1000, description="1 to 5000; less gives 1, more gives 5000")

    @model_validator(mode="before")
    @classmethod
    def _empty_when_absent(cls, given: Any) -> Any:
        return {} if given is None else given


class ConnectionQuery(BaseModel):
    """Has the connection been heard since an instant?"""

    since: float = Field(0.0, ge=0, le=1e11, description="Unix seconds")
    stream: str = Field("main", max_length=64, pattern=NO_NUL, description="the stream of the script")


class ImportQuery(BaseModel):
    """Whose alert log it is."""

    stream: str = Field(
        "main", min_length=1, max_length=64, pattern="^[0-9A-Za-z_-]+$", description="the script's stream"
    )


class DeliveryBrief(Part):
    """What a line of the log and a whole delivery have in common."""

    id: int
    received_at: datetime
    stream: str
    source: Literal["webhook", "import", "backfill"]
    status: str
    dialect: str | None
    content_type: str | None
    source_ip: str | None
    processing_time_ms: float | None
    validation_error: str | None
    receipt_id: str | None


class DeliveryLine(DeliveryBrief):
    """One line of the delivery log."""

    event_type: str | None
    trade_id: str | None
    warnings: list[str]
    message: str | None
    body_bytes: int | None


class DeliveryRecord(DeliveryBrief):
    """One delivery, whole."""

    stored_at: datetime
    duplicate_of: str | None
    delivery_key: str | None
    raw_body: str | None = Field(description="null where the bytes are no UTF-8, or kept no longer")
    raw_body_base64: str | None
    raw_payload: Any
    fused_event: dict[str, Any] | None
    handler_result: dict[str, Any] | None
    repair: list[dict[str, Any]] | None


class DeliveriesAnswer(Answer):
    """A page of the log."""

    events: list[DeliveryLine]
    count: int


class DeliveryAnswer(Answer):
    """One delivery."""

    event: DeliveryRecord


class ReplayAnswer(Answer):
    """How many quarantined deliveries were tried, and how many are understood now."""

    tried: int
    understood: int


class BackfillAnswer(Answer):
    """What one run of the backfill did."""

    error: None
    inserted: int
    scanned: int
    failed: int
    already_logged: int
    limit: int


class ImportAnswer(Answer):
    """What became of the rows of an alert log."""

    rows: int
    new: int
    known: int
    quarantined: int
    capped: bool = Field(description="TradingView exports 2,000 rows at most: there may be more")


class FirstAlert(Part):
    """The first alert of a connection."""

    id: int
    received_at: datetime
    after_seconds: float
    stored_after_seconds: float
    status: str
    dialect: str | None


class ConnectionAnswer(Answer):
    """Null until an alert has come."""

    alert: FirstAlert | None
