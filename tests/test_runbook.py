"""Whoever is told of an alarm finds in the runbook what it means, what to look at and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from operations.alarms.rules import RULES

RUNBOOK = (Path(__file__).parents[1] / "docs" / "runbook.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", RULES)
def test_every_alarm_has_its_entry_with_meaning_check_and_cure(name: str) -> None:
    assert re.search(r"\*\*Meaning\.\*\* \w", ENTRIES[name])
    assert re.search(r"\*\*Check( and cure)?\.\*\* \S", ENTRIES[name])
    assert re.search(r"\*\*(Check and c|C)ure\.\*\* \S", ENTRIES[name])


def test_the_runbook_has_no_entry_for_an_alarm_that_does_not_exist() -> None:
    assert set(ENTRIES) == set(RULES)
