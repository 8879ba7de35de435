"""The report about single things: tables in Markdown, and JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from limner.evaluation.measures.statistics import Estimate
from limner.evaluation.things.measures.compositions import CompositionFigures
from limner.evaluation.things.measures.looks import LookFigures
from limner.evaluation.things.shares import Share

_COMPOSITIONS = """\
{n} prompts of two to four things. A picture is cut at connected areas, and each is named among
{n_names} things by drawings of artists whom the generator never saw. Things: found, of all that
were asked for. Number: as many as were asked for, whatever they are. Colour and place: of
the areas that are most like what was asked for, so that a guess has about 0.1 and 0.5. All right:
every thing, and nothing else, in the right number, colour and place. Both ways: of pairs such as
"A left of B" and "B left of A", both all right. Specks: a picture, areas too small for a thing."""
_MASKS = """\
{n} times one thing, drawn into half of a white canvas under a mask, and on a canvas of its own: the
largest area has the right one of {n_names} names."""
_LOOKS = """\
{n} things, each said to be outlined, flat and 3D with one seed; by whose training drawings a
picture is most like. Told apart: all three are right, which cannot be where words do nothing."""
_EDGES = """\
At 1024 px, the median width of a picture's edges in pixels; a sharp step has 1."""
_VARIETY = """\
{n} things, eight seeds each. Variety: 1 less the mean cosine of the features of two pictures of one
thing; of true pictures, those of the training artists. Copies: nearer to a training drawing than
two artists' drawings of one thing are."""


@dataclass
class ThingsReport:
    """Figures by the source of the pictures: true, through the tokenizer, drawn."""

    engine: str
    judge: str  # SHA-256 of what names the things
    purpose: str  # of the questions
    seed: int
    n_names: int
    n: dict[str, int] = field(default_factory=dict)  # questions of each part
    compositions: dict[str, CompositionFigures] = field(default_factory=dict)
    specks: dict[str, Estimate] = field(default_factory=dict)
    in_half: dict[str, Share] = field(default_factory=dict)
    alone: dict[str, Share] = field(default_factory=dict)
    looks: dict[str, LookFigures] = field(default_factory=dict)
    edges: dict[str, Estimate] = field(default_factory=dict)
    variety: dict[str, Estimate] = field(default_factory=dict)
    copies: dict[str, Share] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """All figures by the names of their fields, for JSON."""
        found: dict[str, Any] = _plain(self)
        return found

    def markdown(self) -> str:
        """The tables, each with a sentence that says how to read it."""
        parts = [
            f"# Thing by thing: {self.engine}",
            f"Questions to {self.purpose}, seed {self.seed}; in brackets 95 % intervals (Wilson's "
            f"of shares). Names by {self.judge[:12]}: only figures of the same can be compared.",
            *self._part("compositions", "Compositions", _COMPOSITIONS, self._composition_rows()),
            *self._part("masks", "A thing under a mask", _MASKS, self._mask_rows()),
            *self._part("looks", "Looks told from one another", _LOOKS, self._look_rows()),
            *self._part("edges", "Edges", _EDGES, self._edge_rows()),
            *self._part("variety", "Variety", _VARIETY, self._variety_rows()),
        ]
        return "\n\n".join(parts) + "\n"

    def _part(self, name: str, title: str, text: str, rows: list[list[str]]) -> list[str]:
        about = text.format(n=self.n.get(name, 0), n_names=self.n_names).replace("\n", " ")
        return [f"## {title}", about, _table(rows)] if len(rows) > 1 else []

    def _composition_rows(self) -> list[list[str]]:
        names = [item.name for item in fields(CompositionFigures)]
        head = ["pictures", *(name.replace("_", " ") for name in names), "specks"]
        return [head] + [
            [
                source,
                *(str(getattr(found, name)) for name in names),
                _two_digits(self.specks[source]),
            ]
            for source, found in self.compositions.items()
        ]

    def _mask_rows(self) -> list[list[str]]:
        body = [[s, str(share), str(self.alone[s])] for s, share in self.in_half.items()]
        return [["pictures", "in half of a canvas", "alone"], *body]

    def _look_rows(self) -> list[list[str]]:
        looks = next(iter(self.looks.values())).by_look if self.looks else {}
        return [["pictures", *looks, "told apart"]] + [
            [source, *(str(found.by_look[look]) for look in looks), str(found.told_apart)]
            for source, found in self.looks.items()
        ]

    def _edge_rows(self) -> list[list[str]]:
        head = ["pictures", "width, px"]
        return [head] + [[source, _two_digits(found)] for source, found in self.edges.items()]

    def _variety_rows(self) -> list[list[str]]:
        return [["pictures", "variety", "copies"]] + [
            [source, _two_digits(found), str(self.copies.get(source, "–"))]
            for source, found in self.variety.items()
        ]


def _two_digits(found: Estimate) -> str:
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]" if found.n else "–"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries, a Share with its interval."""
    if isinstance(value, Share):
        return value.to_dict()
    if isinstance(value, Estimate):
        return asdict(value)
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
