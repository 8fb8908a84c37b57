"""Passwords that somebody would guess first: words of this trade, common words, rows of keys, repetitions.

A list of the passwords that leaked most often is not shipped. Of those long enough for our rules nearly all are a common
word with a few digits behind it, a walk over the keyboard, or something short said twice; so it is these shapes that are
refused, in whatever case and with the usual digits in place of letters. Pure.
"""

from __future__ import annotations

import re

_OWN = """
signalbook tradingview projectx topstep nasdaq futures trading trader trade signals signal webhook telemetry
operator viewer administrator admin root postgres database server
"""
_COMMON = """
password passwort passwd pass secret default changeme change welcome letmein login access master hello testing test guest
user temporary iloveyou love loveyou lovely baby angel princess sunshine butterfly flower rainbow whatever nothing forever
summer winter spring autumn monday sunday january february march april june july august september october november december
football baseball basketball volleyball softball soccer hockey swimming cheerleader skateboard snowboard freedom money
liverpool arsenal chelsea manchester united barcelona madrid juventus dallas cowboys yankees lakers california university
london paris berlin america canada texas florida newyork superman batman spiderman starwars pokemon naruto engineering
metallica nirvana eminem slipknot blink computer internet samsung google facebook microsoft windows apple bangladesh
monkey dragon tiger shadow chocolate cheese cookie banana orange strawberry watermelon pepper ginger coffee killer hunter
michael jennifer jessica ashley amanda daniel matthew joshua andrew jordan thomas robert charlie george nicole samantha
elizabeth stephanie alexander jonathan christopher benjamin william victoria michelle trustno trust diamond silver golden
mustang ferrari porsche mercedes corvette harley yamaha
"""
OWN_WORDS = frozenset(_OWN.split())
"""Words of the product, its neighbours and its roles; the login's own name comes on top."""
COMMON_WORDS = frozenset(_COMMON.split())
ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890123456789"),
    *("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop"),
    *(
        "qwertyuiopasdfghjklzxcvbnm",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
        "1q2w3e4r5t6y7u8i9o0p",
        "q1w2e3r4t5y6u7i8o9p0",
    ),
    *("qazwsxedcrfvtgbyhnujmikolp", "zaq1xsw2cde3vfr4bgt5nhy6mju7", "zaq12wsxcde34rfvbgt56yhnmju7"),
)
FEWEST_DIFFERENT = 5
FEWEST_FREE = 4
SHORTEST_RUN = 4
_LETTERS = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_REPEATED = re.compile(r"(.{1,}?)\1+.?", re.DOTALL)


def is_obvious(password: str, name: str = "") -> bool:
    """True if hardly anything of the password is left without its words, runs of keys and repetitions."""
    text = password.casefold()
    if len(set(text)) < FEWEST_DIFFERENT or _REPEATED.fullmatch(text):
        return True
    words = sorted({*OWN_WORDS, *COMMON_WORDS, *_parts_of(name)}, key=len, reverse=True)
    return any(_free_letters(reading, words) < FEWEST_FREE for reading in (text, text.translate(_LETTERS)))


def _parts_of(name: str) -> set[str]:
    """The login's name, and the parts of an address that are long enough to mean something."""
    return {part for part in (name.casefold(), *re.split(r"[_.@-]", name.casefold())) if len(part) >= 3}


def _free_letters(text: str, words: list[str]) -> int:
    """How many letters are left when runs and words are taken out; digits and signs around a word do not count."""
    left = _without_runs(text)
    for word in words:
        left = left.replace(word, " ")
    return sum(character.isalpha() for character in left)


def _without_runs(text: str) -> str:
    """The text without every stretch of four and more that lies on a row of keys, either way round."""
    kept, at = [], 0
    while at < len(text):
        length = _run_at(text, at)
        kept.append(" " if length else text[at])
        at += length or 1
    return "".join(kept)


def _run_at(text: str, at: int) -> int:
    longest = 0
    for length in range(SHORTEST_RUN, len(text) - at + 1):
        piece = text[at : at + length]
        if not any(piece in row or piece[::-1] in row for row in ROWS):
            break
        longest = length
    return longest
