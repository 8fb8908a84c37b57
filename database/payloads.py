"""What the answers of every API are made of; a field that is not described makes a test fail."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class Answer(Part):
    """Every answer that is no problem document."""

    success: Literal[True]
