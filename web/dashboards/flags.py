"""Flags and warnings in plain words: the one table behind every badge. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag as a person reads it: a short label, one sentence, and whether it casts doubt or only notes."""

    name: str
    label: str
    sentence: str
    is_doubt: bool = True


FLAGS = {
    flag.name: flag
    for flag in (
        Flag("phantom", "phantom", "The signal points against its own trend and was never entered; it is not counted."),
        Flag("orphan", "orphan", "Neither the signal nor the entry was received: what is known begins in mid-life."),
        Flag("entry_missing", "no entry", "The trade is being followed, but its ENTRY was never received."),
        Flag(
            "exit_be_without_1r",
            "EXIT_BE before 1R",
            "An EXIT_BE came although the best excursion known never reached +1R, so the stop cannot have stood at the "
            "entry. The result of the BE leg stays unknown until bars decide.",
        ),
        Flag(
            "exit_be_missing",
            "EXIT_BE missing",
            "The stop had been moved to the entry, then the original stop was hit: the BE leg ended at 0R on the way, "
            "but its EXIT_BE was never received.",
        ),
        Flag("two_exits", "two exits", "Both a stop and a target exit were received; the earlier one is believed."),
        Flag("cancelled_but_entered", "cancelled, yet entered", "A cancellation came for a trade that was entered."),
        Flag("entry_equals_stop", "entry = stop", "Entry and stop are the same price, so one R is nothing."),
        Flag("stop_on_wrong_side", "stop on wrong side", "The stop lies where a stop of this direction cannot lie."),
        Flag(
            "be_mfe_above_no_be_mfe", "BE above No-BE", "The BE leg shows a larger MFE than the leg that runs longer."
        ),
        Flag(
            "signal_time_from_id",
            "time from id",
            "No alert gave the time of the signal; it was read out of the trade id, the weakest evidence.",
        ),
        Flag("repaired", "repaired", "An alert was malformed and has been repaired; its bytes are kept.", False),
        Flag(
            "payload_not_storable", "text altered", "An alert held characters or numbers that no database column takes."
        ),
        Flag(
            "bars_ambiguous",
            "undecided by bars",
            "One bar touches two levels, so the order inside it is unknown: only what is certain either way is told; both "
            "readings stand in the audit log.",
        ),
        Flag("byte_order_mark", "byte order mark", "An alert began with a byte order mark; it was passed over.", False),
    )
}

FIELDS = {
    "be_mfe": "BE MFE",
    "no_be_mfe": "No-BE MFE",
    "mae_global_r": "MAE",
    "final_be_mfe": "final BE MFE",
    "final_no_be_mfe": "final No-BE MFE",
    "htf_alignment": "HTF alignment",
    "event_id": "event id",
}

DOUBTS = {
    "missing": ("no {0}", "An alert that ought to give the {0} did not; it is unknown, not zero.", True),
    "invalid": ("{0} unreadable", "The {0} that was sent cannot be read, so it was left out.", True),
    "not_finite": ("{0} not a number", "The {0} was sent as NaN or infinity, so it was left out.", True),
    "out_of_range": ("{0} impossible", "The {0} that was sent is impossible, so it was left out.", True),
    "truncated": ("{0} cut", "The {0} that was sent is longer than can be kept, so it was cut.", False),
    "clamped": ("{0} set to 0", "The {0} was sent with an impossible sign and counts as 0.", True),
    "conflict": ("{0} differs", "Alerts of this signal disagree on its {0}; the best source is believed.", True),
    "false_utc": ("{0} shifted", "The {0} was marked UTC but was a chart's wall time; it was put right.", False),
    "ambiguous": ("{0} ambiguous", "The {0} falls in the hour that happens twice when clocks go back.", True),
    "nonexistent": ("{0} nonexistent", "The {0} falls in the hour that is skipped when clocks go forward.", True),
    "in_future": ("{0} in the future", "The {0} that was sent lies after its own arrival.", True),
}

_ORDER = {name: place for place, name in enumerate(FLAGS)}


def explain(name: str) -> Flag:
    """The flag of that name; a warning of a batch member (`signals/3/mae_missing`) is explained by its last part."""
    place, _, own = name.rpartition("/")
    flag = FLAGS.get(own) or _of_field(own)
    return Flag(name, f"{place}: {flag.label}", flag.sentence, flag.is_doubt) if place else flag


def explained(names: list[str] | tuple[str, ...]) -> list[Flag]:
    """Flags in the order of their weight."""
    return [explain(name) for name in sorted(names, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))]


def _of_field(name: str) -> Flag:
    for ending, (label, sentence, is_doubt) in DOUBTS.items():
        if name.endswith(f"_{ending}"):
            field = name.removesuffix(f"_{ending}")
            words = FIELDS.get(field, field.replace("_", " "))
            return Flag(name, label.format(words), sentence.format(words), is_doubt)
    words = name.replace("_", " ")
    return Flag(name, words, f"Marked by the service: {words}.")
