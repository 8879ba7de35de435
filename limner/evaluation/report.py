"""The report of an evaluation: tables in Markdown, and JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from limner.evaluation.measures.rules import RULES
from limner.evaluation.measures.statistics import Estimate

LEGEND = {
    "in_distribution": "seen things, new seeds",
    "unseen_concept": "things no artist showed in training",
    "compositional": "colours, counts and pairs never together in training",
    "paraphrase": "synonyms and turns of phrase never used in training",
}


@dataclass(frozen=True)
class MatchRow:
    """Share of pictures for which the judge picks the true caption."""

    split: str
    source: str
    lang: str
    n_captions: int  # the true one and others of the split
    r_at_1: Estimate
    hard: Estimate  # against captions that are wrong in one thing


@dataclass(frozen=True)
class RuleRow:
    """How often each rule holds, on compositional."""

    source: str
    lang: str
    by_rule: dict[str, Estimate]


@dataclass(frozen=True)
class CopyRow:
    """Similarity of pictures to the training drawings."""

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
class EditRow:
    """Figures of edits; an estimate of n = 0 where a kind of edit has no such figure."""

    kind: str  # "part": under a mask, "whole": without one
    source: str
    n_captions: int
    r_at_1: Estimate
    prefers_new: Estimate  # share of which the judge prefers the new caption to the old one
    margin: Estimate  # by how much, in cosine
    untouched: Estimate  # share that is the source bit for bit outside the mask
    seam: Estimate  # steepness across the mask's edge less that beside it, of 255
    layout: Estimate  # correlation with the source in large squares of grey
    outline: Estimate  # of objects, intersection over union with the source's


@dataclass(frozen=True)
class CostRow:
    """An edit of a quarter of a picture as a share of a drawing of all of it."""

    steps: Estimate
    seconds: Estimate


@dataclass(frozen=True)
class VariationRow:
    """Figures of variations."""

    source: str
    n_captions: int
    r_at_1: Estimate  # for what the source shows
    similarity: Estimate  # to the source, cosine
    copies: Estimate  # share nearer to the source than two artists' drawings of one thing are
    variety: Estimate  # 1 less the cosine of two variations of one source


@dataclass(frozen=True)
class QualityRow:
    """Time and accuracy of one quality."""

    quality: str
    split: str
    n_captions: int
    r_at_1: Estimate
    p50_s: float  # of a picture
    p95_s: float


@dataclass(frozen=True)
class TokenizerRow:
    """Reconstruction error of the image tokenizer."""

    artist: str
    px: int  # side of the pictures
    psnr: Estimate  # dB on white
    psnr_on_black: Estimate
    ssim: Estimate
    edge_f1: Estimate
    alpha_error: Estimate


@dataclass
class EvaluationReport:
    """All figures of one evaluation."""

    engine: str
    judge: str  # SHA-256 of the judge's weights
    n: int
    match: list[MatchRow] = field(default_factory=list)
    rules: list[RuleRow] = field(default_factory=list)
    copies: list[CopyRow] = field(default_factory=list)
    distances: list[DistanceRow] = field(default_factory=list)
    tokenizer: TokenizerRow | None = None
    words: list[RuleRow] = field(default_factory=list)
    edits: list[EditRow] = field(default_factory=list)
    cost: CostRow | None = None
    variations: list[VariationRow] = field(default_factory=list)
    qualities: list[QualityRow] = field(default_factory=list)
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
        tables = (
            (self.rules, self._rule_table),
            (self.words, self._word_table),
            (self.copies, self._copy_table),
            (self.distances, self._distance_table),
            (self.edits, self._edit_tables),
            (self.variations, self._variation_table),
            (self.qualities, self._quality_table),
        )
        for rows, table in tables:
            if rows:
                parts += table()
        if self.tokenizer is not None:
            parts += _tokenizer_table(self.tokenizer)
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
            "## compositional by rule",
            "The row of the true pictures is how often the rule itself is right.",
            _table(["pictures", "prompts", *RULES], body),
        ]

    def _word_table(self) -> list[str]:
        rules = tuple(self.words[0].by_rule)
        body = [
            [row.source, row.lang, *(str(row.by_rule[rule]) for rule in rules)]
            for row in self.words
        ]
        return [
            "## Words beside the subject, by rule",
            "How often they do what they say. Style and looks by whose training drawings a "
            "picture is most like, background by its rim. The row of the true pictures is how "
            "often the rule itself is right; the one without the words is what comes unasked.",
            _table(["pictures", "prompts", *rules], body),
        ]

    def _copy_table(self) -> list[str]:
        body = [
            [r.split, r.source, r.lang, str(r.copies), str(r.similarity), str(r.overlap)]
            for r in self.copies
        ]
        return [
            "## Nearness to the training drawings",
            "A copy is nearer to a training drawing than 99 % of the pairs in which two artists "
            "draw one thing. The true pictures of in_distribution and paraphrase are training "
            "drawings; those of unseen_concept show what no copying at all looks like.",
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

    def _edit_tables(self) -> list[str]:
        wholes = [row for row in self.edits if row.kind == "whole"]
        parts = [row for row in self.edits if row.kind == "part"]
        found = ["## Edits"]
        if parts:
            found += [
                "Of a part: another thing in the place of one of two, under a mask. Seam: how "
                "much steeper the picture is across the mask's edge than beside it, of 255.",
                _table(
                    [*_edit_head(parts[0]), "untouched outside", "seam"],
                    [[*_edit_cells(row), str(row.untouched), str(row.seam)] for row in parts],
                ),
            ]
        if wholes:
            found += [
                "Of the whole: one thing turned into another, without a mask. Layout: correlation "
                "with the source in large squares; outline: what both cover of what either does.",
                _table(
                    [*_edit_head(wholes[0]), "layout", "outline"],
                    [[*_edit_cells(row), str(row.layout), str(row.outline)] for row in wholes],
                ),
            ]
        if self.cost is not None:
            found.append(
                f"An edit of a quarter takes {self.cost.steps} of the steps of a whole drawing "
                f"and {self.cost.seconds} of its time."
            )
        return found

    def _variation_table(self) -> list[str]:
        body = [
            [
                row.source,
                str(row.r_at_1),
                str(row.similarity),
                str(row.copies),
                str(row.variety),
            ]
            for row in self.variations
        ]
        return [
            "## Variations",
            "R@1 for what the source shows. Similarity to the source by the judge's image "
            "network; near copies are more alike than 99 % of the pairs in which two artists draw "
            "one thing. Variety: how unlike two pictures of one source are.",
            _table(
                [
                    "pictures",
                    f"R@1 of {self.variations[0].n_captions}",
                    "similarity",
                    "near copies",
                    "variety",
                ],
                body,
            ),
        ]

    def _quality_table(self) -> list[str]:
        body = [
            [row.split, row.quality, str(row.r_at_1), f"{row.p50_s:.2f}", f"{row.p95_s:.2f}"]
            for row in self.qualities
        ]
        return [
            "## Qualities",
            "The same English questions in each quality by turns, one picture of 256 px at a "
            "time. Seconds are of this machine, and of whatever else it did.",
            _table(
                [
                    "split",
                    "quality",
                    f"R@1 of {self.qualities[0].n_captions}",
                    "seconds, median",
                    "95th percentile",
                ],
                body,
            ),
        ]


def _edit_head(row: EditRow) -> list[str]:
    return ["pictures", f"R@1 of {row.n_captions}", "new caption before old", "by (cosine)"]


def _edit_cells(row: EditRow) -> list[str]:
    return [row.source, str(row.r_at_1), str(row.prefers_new), str(row.margin)]


def _tokenizer_table(row: TokenizerRow) -> list[str]:
    return [
        "## The image tokenizer",
        f"On {row.artist} (unseen_artist), whose drawings it never saw, at {row.px} px; "
        "structure and edges on white.",
        _table(
            ["pictures", "PSNR on white, dB", "on black", "SSIM", "edge F1", "alpha error"],
            [[
                str(row.psnr.n), str(row.psnr), str(row.psnr_on_black), str(row.ssim),
                str(row.edge_f1), str(row.alpha_error),
            ]],
        ),
    ]  # fmt: skip


def _counts(row: MatchRow) -> str:
    return f"{row.r_at_1.n}, {row.hard.n}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
