"""The open redirect through `next`: whatever it says, a login leads to our own host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.safe_next import safe_next

FOREIGN = [
    "https://evil.example",
    "http:evil.example",
    "https:/evil.example",
    "https:evil.example",
    "HTTPS://evil.example/login",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "/%2f%2fevil.example",
    "%2f%2fevil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    "/%255cevil.example",
    "/%252f%252fevil.example",
    "/%25252525252fevil.example",
    "/\t/evil.example",
    "/\r/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/%09/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/%00/evil.example",
    "/\u2028/evil.example",
    "/\u00a0/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example/path",
    "@evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/x/..//evil.example",
    "//[evil",
    "?next=/x",
    "#/x",
    "",
    "/" + "a" * 3000,
]
OWN = [
    "/",
    "/automated-signals",
    "/automated-signals?status=ACTIVE&from=2025-11-20",
    "/automated-signals/20251120_093000_LONG",
    "/automated-signals?text=a%20b",
    "/params#history",
    "/@home",
]


@pytest.mark.parametrize("target", FOREIGN)
def test_a_foreign_target_leads_home(target: str) -> None:
    assert safe_next(target) == "/"


@pytest.mark.parametrize("target", OWN)
def test_a_path_of_ours_is_kept(target: str) -> None:
    assert safe_next(target) == target


def test_a_missing_target_leads_to_the_given_default() -> None:
    assert safe_next(None, "/status") == "/status"


@given(st.text(alphabet="/\\:@.%25cfCF09adh\t\r\n ?#exampl", max_size=40))
def test_what_is_let_through_is_a_path_for_a_lenient_reader_too(target: str) -> None:
    found = safe_next(target)
    lenient = "".join(character for character in found if character not in "\t\r\n").replace("\\", "/")
    assert lenient.startswith("/")
    assert not lenient.startswith("//")
