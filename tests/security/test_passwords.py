"""Passwords: those that would be guessed first are refused, all others are taken and read exactly as they were typed."""

from __future__ import annotations

import re

import pytest
from flask_openapi3 import OpenAPI
from hypothesis import given
from hypothesis import strategies as st

from core.settings import load_settings
from database import tokens
from database.engine import Database
from tests.support_http import PASSWORD
from tests.test_auth import run
from web.passwords import LONGEST, hash_password, is_password_of, new_password
from web.security import totp
from web.security.obvious import is_obvious
from web.serving.first_start import first_start

OBVIOUS = (
    *("1234567890", "0987654321", "1111111111", "1212121212", "abcdefghij", "123123123123", "1234567890a"),
    *("qwertyuiop", "asdfghjkl1", "qwerty12345", "1q2w3e4r5t", "1qaz2wsx3edc", "zaq12wsxcde", "q1w2e3r4t5y6"),
    *("password12", "Password1!", "P@ssw0rd123", "passwordpassword", "iloveyou12", "letmein1234", "changeme2025"),
    *("football99", "basketball", "sunshine123", "michael1990", "liverpool1", "trustno1trustno1", "December2025"),
    *("signalbook1", "Tr4d1ngV1ew!!", "projectx2025", "topstep-trader", "admin12345", "operator2025", "annannann1"),
)


@pytest.mark.parametrize("password", OBVIOUS)
def test_what_would_be_guessed_first_is_refused(password: str) -> None:
    assert is_obvious(password, "ann")


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "blue lantern over the bay",
        "long enough",
        "Xk3v9-qLmZ2w",
        "9f8a7c6d5e",
        "my cat is called Signal",
        "ünïcödé wörds ☂",
        "ж" * 5 + "дверьокно",
    ],
)
def test_other_passwords_of_any_composition_are_taken(password: str) -> None:
    assert not is_obvious(password, "ann")


def test_the_name_of_the_login_is_no_password(app: OpenAPI) -> None:
    assert is_obvious("mary.jones1", "mary.jones")
    assert is_obvious("JONES-mary-77", "mary.jones@example")
    assert not is_obvious("mary.jones1", "ann")
    assert run(app, "create", "mary.jones", given="mary.jones1\nmary.jones1\n")[0] == 1


@given(st.text(max_size=220), st.text(max_size=64))
def test_whatever_is_typed_is_judged(password: str, name: str) -> None:
    assert is_obvious(password, name) in (True, False)


def test_made_passwords_are_never_obvious() -> None:
    assert not any(is_obvious(new_password(), "admin") for _ in range(500))


def test_a_password_counts_to_its_last_character_as_it_was_typed() -> None:
    longest = "The Quick brown fox " * 10
    assert len(longest) == LONGEST
    kept = hash_password(longest)
    assert is_password_of(kept, longest)
    for typed in (longest + "x", longest[:-1], longest.lower(), f" {longest[1:]}", longest.strip()):
        assert not is_password_of(kept, typed)


def test_the_first_start_warns_of_an_obvious_password(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    first_start(db, load_settings({"ADMIN_PASSWORD": "admin12345", "WEBHOOK_TOKEN": "token-of-the-first-start"}))
    said = capsys.readouterr().out
    assert "easy to guess" in said
    assert "admin12345" not in said


def test_the_hash_is_argon2id_at_the_recommended_cost() -> None:
    assert hash_password("blue lantern over the bay").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_made_secrets_have_128_bits() -> None:
    for make in (new_password, tokens.new_token):
        made = {make() for _ in range(100)}
        assert len(made) == 100
        assert all(len(text) * 6 >= 128 and re.fullmatch(r"[0-9A-Za-z_-]+", text) for text in made)
    assert all(len(totp.new_secret()) * 5 >= 128 for _ in range(10))
