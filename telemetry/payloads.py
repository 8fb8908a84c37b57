"""What the telemetry API takes: query strings and paths, checked at the door."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
