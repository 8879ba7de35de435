"""What an evaluation found, as tables for people and as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from limner.training.metrics import Estimate
from limner.training.rules import RULES

LEGEND = {
    "S5": "seen things, new seeds",
    "S1": "things no artist showed in training",
    "S3": "colours, counts and pairs never together in training",
    "S4": "synonyms and turns of phrase never used in training",
}


@dataclass(frozen=True)
class MatchRow:
    """How often the judge picks the true caption."""

    split: str
    source: str
    lang: str
    n_captions: int  # the true one and others of the split
    r_at_1: Estimate
    hard: Estimate  # against captions that are wrong in one thing


@dataclass(frozen=True)
class RuleRow:
    """How often each rule holds, on S3."""

    source: str
    lang: str
    by_rule: dict[str, Estimate]


@dataclass(frozen=True)
class CopyRow:
    """How near pictures come to the training drawings."""

    split: str
    source: str
    lang: str
    copies: Estimate  # share nearer to one drawing than two artists' drawings of one thing are
    similarity: Estimate
    overlap: Estimate


@dataclass(frozen=True)
class DistanceRow:
    """Distance of a set of pictures to the true ones."""

    source: str
    lang: str
    network: str
    kid: float
    sliced: float  # Wasserstein
    density: float
    coverage: float
    n: int


@dataclass(frozen=True)
class TokenizerRow:
    """How well pictures survive being turned into codes."""

    artist: str
    psnr: Estimate  # dB on white
    psnr_on_black: Estimate
    ssim: Estimate
    edge_f1: Estimate
    alpha_error: Estimate


@dataclass
class Report:
    """All figures of one evaluation."""

    engine: str
    judge: str  # SHA-256 of the judge's weights
    n: int
    match: list[MatchRow] = field(default_factory=list)
    rules: list[RuleRow] = field(default_factory=list)
    copies: list[CopyRow] = field(default_factory=list)
    distances: list[DistanceRow] = field(default_factory=list)
    tokenizer: TokenizerRow | None = None
    seconds: float = 0.0

    def to_json(self) -> str:
        """All rows by the names of their fields."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """The tables, each with a sentence that says how to read it."""
        parts = [
            f"# Evaluation of {self.engine}",
            f"{self.n} questions a split; in brackets 95 % bootstrap intervals. "
            f"Judge {self.judge[:12]}: only figures of the same judge can be compared.",
            *self._match_tables(),
        ]
        if self.rules:
            parts += self._rule_table()
        if self.copies:
            parts += self._copy_table()
        if self.distances:
            parts += self._distance_table()
        if self.tokenizer is not None:
            row = self.tokenizer
            parts += [
                "## The image tokenizer",
                f"On {row.artist} (S2), whose drawings it never saw, at 64 px; structure and edges "
                "on white.",
                _table(
                    ["pictures", "PSNR on white, dB", "on black", "SSIM", "edge F1", "alpha error"],
                    [[
                        str(row.psnr.n), str(row.psnr), str(row.psnr_on_black), str(row.ssim),
                        str(row.edge_f1), str(row.alpha_error),
                    ]],
                ),
            ]  # fmt: skip
        return "\n\n".join(parts) + "\n"

    def _match_tables(self) -> list[str]:
        parts = []
        for split in dict.fromkeys(row.split for row in self.match):
            rows = [row for row in self.match if row.split == split]
            head = [
                "pictures",
                "prompts",
                f"R@1 of {rows[0].n_captions}",
                "R@1 of 10, nearly true",
                "n",
            ]
            body = [
                [row.source, row.lang, str(row.r_at_1), str(row.hard), _counts(row)] for row in rows
            ]
            parts += [f"## {split}: {LEGEND.get(split, '')}", _table(head, body)]
        return parts

    def _rule_table(self) -> list[str]:
        body = [
            [row.source, row.lang, *(str(row.by_rule[rule]) for rule in RULES)]
            for row in self.rules
        ]
        return [
            "## S3 by rule",
            "The row of the true pictures is how often the rule itself is right.",
            _table(["pictures", "prompts", *RULES], body),
        ]

    def _copy_table(self) -> list[str]:
        body = [
            [r.split, r.source, r.lang, str(r.copies), str(r.similarity), str(r.overlap)]
            for r in self.copies
        ]
        return [
            "## Nearness to the training drawings",
            "A copy is nearer to a training drawing than 99 % of the pairs in which two artists "
            "draw one thing. The true pictures of S5 and S4 are training drawings; those of S1 "
            "show what no copying at all looks like.",
            _table(
                ["split", "pictures", "prompts", "copies", "similarity", "outline overlap"], body
            ),
        ]

    def _distance_table(self) -> list[str]:
        body = [
            [
                row.source,
                row.lang,
                f"{1000 * row.kid:.2f}",
                f"{row.sliced:.3f}",
                f"{row.density:.2f}",
                f"{row.coverage:.2f}",
                str(row.n),
            ]
            for row in self.distances
        ]
        return [
            "## Distance to the true pictures",
            f"On features of {self.distances[0].network}; the values depend on the network, so "
            "they compare with nobody else's. KID x 1000 and sliced Wasserstein: smaller is "
            "nearer. Density: how much is like true pictures; coverage: how many true pictures "
            "are met; both are about 1 for the true ones.",
            _table(
                ["pictures", "prompts", "KID x 1000", "sliced W", "density", "coverage", "n"], body
            ),
        ]


def _counts(row: MatchRow) -> str:
    return f"{row.r_at_1.n}, {row.hard.n}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
