"""A diagnosis as plain values and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnlint.diagnosis.causes import CAUSES, Level, Verdict, rank, symptoms
from bnlint.version import rule_page

if TYPE_CHECKING:
    from bnlint.diagnosis.evidence import Evidence
    from bnlint.findings import Finding

NOTHING_GIVEN = "nothing that was given could be read"


@dataclass(frozen=True)
class Diagnosis:
    """The evidence and its verdicts, most likely first."""

    evidence: Evidence
    verdicts: list[Verdict]

    @classmethod
    def of(cls, evidence: Evidence) -> Diagnosis:
        return cls(evidence, rank(evidence))

    def at(self, *levels: Level) -> list[Verdict]:
        """The verdicts of these levels."""
        return [one for one in self.verdicts if one.level in levels]

    @property
    def found(self) -> list[Verdict]:
        """What is certain or likely."""
        return self.at(Level.CERTAIN, Level.LIKELY)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 a cause is likely or predictions are wrong, 2 something can't be read."""
        if any(error.fatal for error in self.evidence.errors):
            return 2
        return int(bool(self.found or symptoms(self.evidence).bad))

    @property
    def summary(self) -> str:
        """One sentence."""
        if not self.evidence.looked_at:
            return NOTHING_GIVEN
        if not self.found and symptoms(self.evidence).bad:
            return "The predictions are wrong, but nothing that was given shows why."
        if not self.found:
            return "No cause is likely."
        first = self.found[0]
        return f"{first.level.value.capitalize()}: {first.cause.title}."


def repair_of(verdict: Verdict, evidence: Evidence) -> tuple[str, str]:
    """What to do, and a diff of the user's file where the repair is known ("" elsewhere)."""
    for _, finding in verdict.findings:
        diff = evidence.repair(finding)
        if diff:
            return finding.help or verdict.cause.repair, diff
    helps = [finding.help for _, finding in verdict.findings if finding.help]
    return (helps[0] if helps else verdict.cause.repair), ""


def line_of(finding: Finding, evidence: Evidence) -> str:
    """The source line that a finding is at; "" where it has none."""
    place = finding.location
    text = evidence.texts.get(place.path, "")
    lines = text.split("\n")
    return lines[place.line - 1].strip() if 0 < place.line <= len(lines) and not place.cell else ""


def to_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """For JSON."""
    evidence = diagnosis.evidence
    return {
        "version": 1,
        "summary": diagnosis.summary,
        "looked_at": evidence.looked_at,
        "causes": [_verdict(one, evidence) for one in diagnosis.verdicts],
        "errors": [
            {"path": one.path, "line": one.line, "message": one.message, "fatal": one.fatal}
            for one in evidence.errors
        ],
        "predictions": [one.predictions.to_dict() for one in evidence.results],
        "modes": [one.gap.to_dict() for one in evidence.results if one.gap is not None],
    }


def _verdict(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    repair, diff = repair_of(verdict, evidence)
    return {
        "cause": verdict.cause.key,
        "title": verdict.cause.title,
        "level": verdict.level.value,
        "code": verdict.code or None,
        "because": verdict.because,
        "check": verdict.cause.check,
        "repair": repair,
        "diff": diff or None,
        "findings": [
            {
                "half": half,
                "code": one.code,
                "confidence": one.confidence.value,
                "message": one.message,
                "location": str(one.location),
            }
            for half, one in verdict.findings
        ],
    }


def to_html(diagnosis: Diagnosis) -> str:
    """A page of its own: no script and nothing from elsewhere."""
    from bnlint.runtime.html import drawn, render

    evidence = diagnosis.evidence
    shown = [
        {
            "verdict": one,
            "repair": repair_of(one, evidence),
            "findings": [
                (half, finding, line_of(finding, evidence), rule_page(finding.code))
                for half, finding in one.findings
            ],
        }
        for one in diagnosis.found
    ]
    values = {
        **drawn(evidence.models, evidence.predictions),
        "diagnosis": diagnosis,
        "shown": shown,
        "others": diagnosis.at(Level.UNLIKELY, Level.EXCLUDED),
        "modes": [_modes(one.gap) for one in evidence.results if one.gap is not None],
        "number_of_causes": len(CAUSES),
    }
    return render("bnlint.diagnosis/page.html.jinja", values)


def _modes(gap: Any) -> dict[str, Any]:
    """Shares of the classes in both modes, the most predicted ones first."""
    names = sorted(
        {*gap.train_counts, *gap.eval_counts},
        key=lambda name: -max(gap.train_counts.get(name, 0), gap.eval_counts.get(name, 0)),
    )
    rows = max(1, gap.rows)
    bars = [
        (str(name), gap.train_counts.get(name, 0) / rows, gap.eval_counts.get(name, 0) / rows)
        for name in names[:20]
    ]
    largest = max((max(one[1:]) for one in bars), default=0) or 1.0
    return {"gap": gap, "bars": bars, "largest": largest, "hidden": len(names) - len(bars)}
