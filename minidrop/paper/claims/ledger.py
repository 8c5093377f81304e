"""What a claim and a verdict are, and the text of CLAIMS.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..reproduce.table import markdown
from .evidence import Evidence, Stored

VERDICTS = ("reproduced", "not reproduced", "undecided")


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and what we found.

    section: of the paper, or "ours" for a question that the paper asks or leaves open. sentence: the claim in our words.
    number: what was measured, with its interval. verdict: one of VERDICTS, or for a question a short answer. stored: the
    experiments that show it. seeds: theirs. details: further lines. on: data and network, if `stored` does not tell.
    """

    key: str
    section: str
    sentence: str
    number: str
    verdict: str
    stored: tuple[Stored, ...] = ()
    seeds: str = ""
    details: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    on: str = ""
    commands: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)  # the same values as numbers, for lessons and tests


def decide(true: bool, false: bool) -> str:
    """The verdict on a claim that its interval shows to be `true`, `false`, or neither."""
    assert not (true and false)
    return "reproduced" if true else "not reproduced" if false else "undecided"


Section = tuple[str, Callable[[Evidence], list[Claim]]]


def ledger(evidence: Evidence, sections: Sequence[Section], before: str, after: str) -> str:
    """CLAIMS.md: `before` (the rules), a table of all claims, each claim by itself, and `after`."""
    found = [(title, claims(evidence)) for title, claims in sections]
    every = [claim for _, claims in found for claim in claims]
    assert len({claim.key for claim in every}) == len(every), "two claims with one key"
    count = {verdict: sum(claim.verdict == verdict for claim in every) for verdict in VERDICTS}
    asked = len(every) - sum(count.values())
    lines = [
        "# Every claim of the paper, and what we found",
        "",
        "Casallas (2018), *DropAlan: An Input-Weighted Approach to Dropout Regularization*. Made by `minidrop claims` from the",
        (
            "stored runs in [`results/`](results/README.md); a test makes it again and compares. "
            f"{count['reproduced']} claims reproduced, {count['not reproduced']} not,"
        ),
        (
            f"{count['undecided']} undecided; and {asked} questions that the paper asks or leaves open, answered as far as we"
            " could."
        ),
        "",
        before,
        "",
    ]
    for title, claims in found:
        rows = [
            (f"[{claim.key}](#{claim.key})", claim.section, claim.sentence, claim.number, claim.verdict) for claim in claims
        ]
        lines += [f"## {title}", "", markdown([("", "section", "claim, in our words", "found", "verdict"), *rows]), ""]
    lines += ["# One by one", ""]
    for _, claims in found:
        for claim in claims:
            lines += entry(claim)
    return "\n".join(lines) + (f"\n{after}" if after else "")


def entry(claim: Claim) -> list[str]:
    """One claim: what decides it, on which data, which seeds, and how to run it again."""
    lines = [f"### {claim.key}", "", f"**{claim.sentence}** ({claim.section})", "", f"{claim.number}: **{claim.verdict}**.", ""]
    lines += [f"* {detail}" for detail in claim.details]
    places = [claim.on] if claim.on else [stored.where for stored in claim.stored]
    lines += [f"* on: {place}" for place in dict.fromkeys(places)]
    lines += [f"* seeds: {claim.seeds}"] if claim.seeds else []
    names = ", ".join(f"`results/{stored.name}`" for stored in claim.stored)
    commands = claim.commands or tuple(dict.fromkeys(stored.command for stored in claim.stored))
    lines += [f"* stored in {names}; run again with"] if names else ["* run again with"]
    lines += ["", "```sh", *commands, "```", ""]
    if claim.table:
        lines += [markdown(list(claim.table)), ""]
    return lines
