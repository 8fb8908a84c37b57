"""One table of cases holds the formatter of the pages and the formatter of the scripts equal."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask_openapi3 import OpenAPI

from tests.support_needs import node
from web import format as formatter

CASES: list[tuple[str, list[Any], str]] = json.loads((Path(__file__).parent / "format_cases.json").read_text())
SCRIPT = Path(__file__).parent.parent / "static" / "js" / "format.js"
RUN_CASES = """
const {source, cases} = JSON.parse(require("fs").readFileSync(0, "utf8"));
import("data:text/javascript," + encodeURIComponent(source)).then((format) => {
  const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  console.log(JSON.stringify(cases.map(([name, given]) => format[camel(name)](...given))));
});
"""


def in_python(name: str, given: list[Any]) -> str:
    if name == "instant" and given[0] is not None:
        given = [datetime.fromisoformat(given[0]), *given[1:]]
    return str(getattr(formatter, name)(*given))


@pytest.mark.parametrize(("name", "given", "expected"), CASES)
def test_pages_write_values_as_the_table_says(name: str, given: list[Any], expected: str) -> None:
    assert in_python(name, given) == expected


def test_scripts_write_values_as_the_table_says() -> None:
    given = json.dumps({"source": SCRIPT.read_text(), "cases": CASES})
    done = subprocess.run(
        [node(), "-e", RUN_CASES], input=given, capture_output=True, text=True, check=True, timeout=30
    )
    expected = [[name, arguments, text] for name, arguments, text in CASES]
    written = json.loads(done.stdout)
    assert [[*case[:2], text] for case, text in zip(CASES, written, strict=True)] == expected


def test_a_naive_time_is_refused_instead_of_guessed() -> None:
    naive = datetime(2025, 11, 20, 9, 30, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="naive"):
        formatter.instant(naive)


def test_an_instant_becomes_a_time_element_that_carries_utc(app: OpenAPI) -> None:
    at = datetime(2025, 11, 20, 14, 30, 5, tzinfo=UTC)
    text = app.jinja_env.from_string("{{ at|instant('minute') }} {{ none|instant }}").render(at=at, none=None)
    assert text == (
        '<time datetime="2025-11-20T14:30:05.000Z" data-show="minute" title="2025-11-20T14:30:05.000Z">'
        "2025-11-20 09:30 EST</time> —"
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, ["NY AM", {"x": None}], "NY AM, —"),
        (-1, None, "−1 → —"),
        (None, {"no_be_mfe": "1.256", "mae": -0.4, "be_mfe": 0, "minutes": 3}, "No-BE +1.26R, MAE −0.40R, BE 0.00R, minutes 3"),
        (None, {"mae": "no number"}, "MAE no number"),
        (None, "<b>", "&lt;b&gt;"),
    ],
)  # fmt: skip
def test_what_a_repair_filled_is_told_in_a_few_words(old: Any, new: Any, told: str) -> None:
    assert formatter.change_text(old, new) == told


def test_the_instant_of_a_repair_is_on_the_clock_of_the_reader() -> None:
    assert ">2025-12-10 09:31 EST</time>" in formatter.change_text(None, "2025-12-10T14:31:00+00:00")
    assert ">2025-12-10 14:31 UTC</time>" in formatter.change_text(None, "2025-12-10T14:31:00Z", "utc")
