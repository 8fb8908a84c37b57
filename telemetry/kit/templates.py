"""Texts for the alert dialog, for scripts that build none themselves. TradingView fills in what stands in braces. Pure."""

from __future__ import annotations

from dataclasses import dataclass

ID_PLOT = '{{plot("Signal id")}}'


@dataclass(frozen=True, slots=True)
class Template:
    """One text to paste as the message of an alert."""

    title: str
    text: str
    needs: str


def _json(*pairs: str) -> str:
    return "{" + ",\n ".join(pairs) + "}"


_COMMON = ('"symbol":"{{ticker}}"', '"timeframe":"{{interval}}"', '"event_timestamp":"{{time}}"')
_ID = f'"trade_id":"{ID_PLOT}_BULLISH"'

TEMPLATES = (
    Template(
        "Heartbeat",
        _json('"event_type":"HEARTBEAT"', '"timestamp":"{{time}}"', '"symbol":"{{ticker}}"'),
        "Nothing of the script. It proves the way and shows that the alert lives.",
    ),
    Template(
        "Signal, bullish",
        _json('"event_type":"SIGNAL_CREATED"', _ID, '"direction":"Bullish"', '"signal_price":{{close}}', *_COMMON),
        "A plot named Signal id: one number for each signal, the same in all alerts of that signal.",
    ),
    Template(
        "Entry, bullish",
        _json(
            '"event_type":"ENTRY"',
            _ID,
            '"direction":"Bullish"',
            '"entry_price":{{close}}',
            '"stop_loss":{{plot("Stop")}}',
            *_COMMON,
        ),
        "The plot Signal id, and a plot named Stop with the stop price.",
    ),
    Template(
        "Exit at the stop",
        _json('"event_type":"EXIT_SL"', _ID, '"exit_price":{{plot("Stop")}}', *_COMMON),
        "The plots Signal id and Stop.",
    ),
)
"""A bearish script writes Bearish and _BEARISH. Excursions of several open trades do not fit in here: use the sender."""
