"""Known tokens leave the body before it is stored."""

from __future__ import annotations

import pytest

from telemetry.dialects.masking import find_body_tokens, mask_tokens

TOKEN = "Qk3v-9xZ_tT0aLr8"


@pytest.mark.parametrize(
    "body",
    [
        f'{{"token":"{TOKEN}","type":"ENTRY"}}',
        f'{{"secret" : "{TOKEN}"}}',
        f'{{"attributes":{{"token":\n"{TOKEN}"}}}}',
        f'{{"entry_price":20500","token":"{TOKEN}"',
        f'{{"token":"{TOKEN},"type":"ENTRY"}}',
        f"{{'token': '{TOKEN}'}}",
    ],
)
def test_a_token_is_found_and_hidden_even_in_malformed_bodies(body: str) -> None:
    raw = body.encode()
    assert find_body_tokens(raw) == [TOKEN]
    masked, found = mask_tokens(raw, lambda token: token == TOKEN)
    assert found == [TOKEN]
    assert masked == raw.replace(TOKEN.encode(), b"***")


def test_a_value_that_is_no_token_of_ours_stays() -> None:
    raw = b'{"token":"something else","secret":"x"}'
    assert mask_tokens(raw, lambda token: token == TOKEN) == (raw, [])


def test_a_known_token_is_hidden_wherever_it_stands() -> None:
    raw = f'{{"note":"post to /webhook/{TOKEN}"}} \xff'.encode("latin-1")
    assert mask_tokens(raw, {TOKEN}) == (b'{"note":"post to /webhook/***"} \xff', [TOKEN])


def test_the_longer_of_two_tokens_goes_first() -> None:
    raw = f'{{"token":"{TOKEN}more"}}'.encode()
    assert mask_tokens(raw, [TOKEN, TOKEN + "more"]) == (b'{"token":"***"}', [TOKEN + "more", TOKEN])


def test_each_candidate_is_named_once() -> None:
    assert find_body_tokens(b'{"token":"a","x":{"secret":"b"},"y":{"token":"a"}}') == ["a", "b"]
    assert find_body_tokens(b'{"tokens":"a","my_secret":"b"}') == []
