"""Stage: train the transformer that draws layouts, on scenes composed anew at every step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.arrays import Ints
from limner.model.contrastive import ContrastiveLoss
from limner.model.layout_transformer import Elements, LayoutTransformer
from limner.model.transformer import TransformerConfig
from limner.planning.layout import Layout
from limner.sampling import cells
from limner.sampling.layout_decoding import CAPTION, NOBODY
from limner.text.text_tokenizer import NULL, TextTokenizer
from limner.training.loop import LoopConfig
from limner.training.tasks.layouts.examples import Example, ExampleSource, SceneMix
from limner.training.tasks.layouts.sheet import SheetOfLayouts
from limner.training.tasks.teacher import Teacher, TeacherLoss


@dataclass(frozen=True)
class LayoutTraining:
    """The settings of the stage."""

    model: TransformerConfig = field(default_factory=lambda: TransformerConfig(layouts=True))
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=6000))
    canvas: int = 24  # cells along a side of a scene
    mix: SceneMix = field(default_factory=SceneMix)
    batch: int = 48  # scenes in a step of scenes
    single_batch: int = 96  # pictures in a step of single things on their own small canvas
    singles: float = 0.3  # share of those steps
    n_asked: int = 96  # cells of a scene that a step asks for
    filled: float = 0.75  # share of them that show more than the ground
    parallel_prob: float = (
        0.8  # share of steps that ask all cells after the same number of known ones
    )
    from_nothing: float = 0.4  # share of those in which none is known
    random_order_prob: float = 0.15  # share of pictures whose cells come in a random order
    drop_text: float = 0.1  # share of pictures that are told nothing, for guidance
    caption: float = 0.7  # share of the others that are told the whole picture's caption, too
    code_dropout: float = 0.1  # share of known codes that are wrong
    contrastive: float = 0.1  # weight of the contrastive loss
    paired: float = 0.25  # share of the batch that it and the teacher see
    teacher: float = 0.0  # weight of the teacher's loss on the phrases of things; 0 for no teacher
    # Whether the embeddings of box positions are frozen: after training on single things, a thing
    # is then still drawn in every box as it is drawn alone.
    fixed_boxes: bool = False
    n_held_out: int = 48


class LayoutGenerator(nn.Module):
    """The transformer and what its losses learn, trained together."""

    def __init__(self, config: TransformerConfig, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.transformer = LayoutTransformer(config)
        self.contrast = ContrastiveLoss()
        self.teacher = None if teacher is None else TeacherLoss(config.d, teacher.dimensions)


@dataclass
class Batch:
    """A batch of pictures: the cells that a step reads, and those it predicts."""

    texts: Tensor  # (N, T)
    which: Tensor  # (B, M)
    owner: Tensor  # (B, M)
    known_codes: Tensor  # (B, S + K, n_groups)
    known: Elements
    asked_codes: Tensor  # (B, Q, n_groups)
    asked: Elements
    mask: Tensor | None  # (B, 1, Q, S + K)
    filled: Tensor  # (B, Q), whether an asked cell shows more than the ground


class LayoutTask:
    """Predicts cells from earlier cells, the layout and its texts."""

    def __init__(
        self,
        config: LayoutTraining,
        examples: ExampleSource,
        held_out: ExampleSource,
        tokenizer: TextTokenizer,
        sheet: "SheetOfLayouts | None" = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.config, self.examples = config, examples
        self.tokenizer, self.sheet, self.teacher = tokenizer, sheet, teacher
        self.model = LayoutGenerator(config.model, teacher)
        if config.fixed_boxes:
            for parameter in self.model.transformer.box_parameters():
                parameter.requires_grad_(False)
        rng = np.random.default_rng(7)
        self._held_out = [held_out.example(rng, is_scene=True) for _ in range(config.n_held_out)]

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch, all of scenes or all of single things."""
        config = self.config
        is_scene = bool(rng.random() >= config.singles)
        n = config.batch if is_scene else config.single_batch
        examples = [self.examples.example(rng, is_scene) for _ in range(n)]
        n_paired = int(n * config.paired)
        batch = self.batch(examples, rng, n_paired)
        losses = self._losses(batch)
        if n_paired > 1 and config.contrastive:
            losses["contrastive"] = self._contrast(examples[:n_paired], rng)
            losses["loss"] = losses["loss"] + config.contrastive * losses["contrastive"]
        if n_paired and self.teacher is not None:
            losses["teacher"] = self._taught(examples[:n_paired], self.teacher)
            losses["loss"] = losses["loss"] + config.teacher * losses["teacher"]
        losses["scene" if is_scene else "single"] = losses.pop("filled")
        losses["pictures"] = torch.tensor(float(n))
        return losses

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        transformer = self.model.transformer
        told = transformer.tell(*(t.to(device) for t in (batch.texts, batch.which, batch.owner)))
        scores = transformer(
            told,
            batch.known_codes.to(device),
            batch.known.to(device),
            batch.asked_codes.to(device),
            batch.asked.to(device),
            None if batch.mask is None else batch.mask.to(device),
        )
        wanted = batch.asked_codes.to(device)
        of_each = F.cross_entropy(scores.flatten(0, 2).float(), wanted.flatten(), reduction="none")
        of_each = of_each.unflatten(0, wanted.shape)
        losses = {f"code{g}": of_each[..., g].mean().detach() for g in range(wanted.shape[-1])}
        seen = batch.filled.to(device)
        losses["filled"] = (of_each[..., 0] * seen).sum().detach() / seen.sum().clamp(min=1)
        losses["loss"] = of_each.mean()
        return losses

    def _contrast(self, examples: list[Example], rng: np.random.Generator) -> Tensor:
        """The contrastive loss between captions and pictures, each by some of its cells."""
        transformer = self.model.transformer
        device = next(transformer.parameters()).device
        captions, _ = self._tokens([example.described.caption for example in examples])
        texts = transformer.embed_text(torch.from_numpy(captions).to(device))
        shown, codes = [], []
        for example in examples:
            every, n_begin = _positions(example.described.layout, self.config.model.grid)
            some = _some(example.filled, rng, 64, 0.9)
            shown.append(every.take(some + n_begin))
            codes.append(example.codes[some].astype(np.int64))
        seen = torch.from_numpy(np.stack(codes)).to(device)
        images = transformer.embed_cells(seen, _elements(shown).to(device))
        concepts = torch.tensor([example.concept for example in examples], device=device)
        loss: Tensor = self.model.contrast(texts, images, concepts)
        return loss

    def _taught(self, examples: list[Example], teacher: Teacher) -> Tensor:
        """The teacher's loss on the phrases of things, each phrase once."""
        assert self.model.teacher is not None
        device = next(self.model.parameters()).device
        layouts = [example.described.layout for example in examples]
        phrases = list(dict.fromkeys(thing.phrase for each in layouts for thing in each.things))
        tokens, _ = self._tokens(phrases)
        pooled = self.model.transformer.pool_text(torch.from_numpy(tokens).to(device))
        loss: Tensor = self.model.teacher(pooled, teacher.vectors(phrases).to(device))
        return loss

    def batch(self, examples: list[Example], rng: np.random.Generator, n_paired: int = 0) -> Batch:
        """A batch of a training step; the first n_paired pictures keep their texts."""
        config, n_cells = self.config, len(examples[0].codes)
        parallel_prob, nothing, share = rng.random(3)
        is_parallel = bool(parallel_prob < config.parallel_prob)
        if is_parallel:
            n_known = 0 if nothing < config.from_nothing else int(share**3 * n_cells)
        else:
            n_known = int(n_cells * (0.1 + 0.7 * share)) - 1
        n_asked = min(config.n_asked, n_cells - n_known if is_parallel else n_known + 1)
        orders: list[Ints] = []
        asked: list[Ints] = []
        for example in examples:
            order = _order(example.described.layout)
            if rng.random() < config.random_order_prob:
                order = rng.permutation(order)
            able = np.arange(n_known, n_cells) if is_parallel else np.arange(n_known + 1)
            some = _some(example.filled[order[able]], rng, n_asked, config.filled)
            orders.append(order)
            asked.append(able[some])
        told = rng.random(len(examples)) >= config.drop_text
        told[:n_paired] = True
        with_caption = rng.random(len(examples)) < config.caption
        return self._batch(examples, orders, asked, n_known, is_parallel, told, with_caption, rng)

    def _batch(
        self,
        examples: list[Example],
        orders: list[Ints],
        asked: list[Ints],
        n_known: int,
        is_parallel: bool,
        told: NDArray[np.bool_],
        with_caption: NDArray[np.bool_],
        rng: np.random.Generator | None,
    ) -> Batch:
        model = self.config.model
        all_places = [_positions(example.described.layout, model.grid) for example in examples]
        n_begin = max(n for _, n in all_places)
        known_positions, known_codes, asked_places, asked_codes, filled = [], [], [], [], []
        for example, order, ask, (every, n) in zip(
            examples, orders, asked, all_places, strict=True
        ):
            begins = np.minimum(np.arange(n_begin), n - 1)
            known = every.take(np.concatenate([begins, order[:n_known] + n]))
            known.owner[n:n_begin] = NOBODY
            codes = np.full((n_begin + n_known, model.n_groups), model.n_codes, np.int64)
            codes[n_begin:] = example.codes[order[:n_known]]
            known_positions.append(known)
            known_codes.append(codes)
            asked_places.append(every.take(order[ask] + n))
            asked_codes.append(example.codes[order[ask]].astype(np.int64))
            filled.append(example.filled[order[ask]])
        codes = np.stack(known_codes)
        if rng is not None and self.config.code_dropout:
            wrong = rng.random(codes.shape[:2]) < self.config.code_dropout
            wrong[:, :n_begin] = False
            codes[wrong] = rng.integers(0, model.n_codes, (int(wrong.sum()), model.n_groups))
        mask = None
        if not is_parallel:
            seen = np.arange(n_begin + n_known) < n_begin + np.stack(asked)[..., None]
            mask = torch.from_numpy(seen[:, None])
        texts, which, owner = self._told(examples, told, with_caption)
        return Batch(
            texts=torch.from_numpy(texts),
            which=torch.from_numpy(which),
            owner=torch.from_numpy(owner),
            known_codes=torch.from_numpy(codes),
            known=_elements(known_positions),
            asked_codes=torch.from_numpy(np.stack(asked_codes)),
            asked=_elements(asked_places),
            mask=mask,
            filled=torch.from_numpy(np.stack(filled)),
        )

    def _told(
        self, examples: list[Example], told: NDArray[np.bool_], with_caption: NDArray[np.bool_]
    ) -> tuple[Ints, Ints, Ints]:
        """Every different text once, and which of their tokens each picture has."""
        rows: dict[str | None, int] = {}
        said: list[list[tuple[int, int]]] = []  # of each picture: (row of a text, owner)
        for example, is_told, has_caption in zip(examples, told, with_caption, strict=True):
            layout = example.described.layout
            owners = [thing.phrase for thing in layout.things]
            if cells.n_owners(layout) > len(owners):
                owners.append(layout.ground)
            mine: list[tuple[int, int]] = []
            for number, phrase in enumerate(owners):
                row = rows.setdefault(phrase if is_told else None, len(rows))
                mine.append((row, number))
            if is_told and has_caption:
                mine.append((rows.setdefault(example.described.caption, len(rows)), CAPTION))
            said.append(mine)
        texts, n_tokens = self._tokens(list(rows))
        width = max(sum(int(n_tokens[row]) for row, _ in mine) for mine in said)
        which = np.zeros((len(said), width), np.int64)
        owner = np.full((len(said), width), NOBODY, np.int64)
        for i, mine in enumerate(said):
            end = 0
            for row, whose in mine:
                start, end = end, end + int(n_tokens[row])
                which[i, start:end] = row * texts.shape[1] + np.arange(n_tokens[row])
                owner[i, start:end] = whose
        return texts, which, owner

    def _tokens(self, texts: Sequence[str | None]) -> tuple[Ints, Ints]:
        """Tokens (N, T) and how many each text has; None is [NULL], no text at all."""
        tokens, _ = self.tokenizer.encode_padded(
            [text or "" for text in texts], self.config.model.max_text
        )
        for row, text in enumerate(texts):
            if text is None:
                tokens[row], tokens[row, 0] = 0, NULL
        n_tokens = (tokens != 0).sum(1)
        return tokens[:, : int(n_tokens.max())].astype(np.int64), n_tokens

    @torch.no_grad()
    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Loss on scenes that hold a combination out, and a sheet of fixed layouts.

        Every cell is asked after a quarter, and after none, of the cells are known.
        """
        assert isinstance(model, LayoutGenerator)
        figures: dict[str, float] = {}
        n_cells = len(self._held_out[0].codes)
        for name, n_known in (("nothing", 0), ("quarter", n_cells // 4)):
            sums = np.zeros(3)
            for start in range(0, len(self._held_out), 8):
                some = self._held_out[start : start + 8]
                orders = [_order(example.described.layout) for example in some]
                asked: list[Ints] = [np.arange(n_known, n_cells)] * len(some)
                yes = np.ones(len(some), bool)
                batch = self._batch(some, orders, asked, n_known, True, yes, yes, None)
                found = self._losses(batch)
                sums += len(some) * np.array(
                    [float(found[k]) for k in ("code0", "code1", "filled")]
                )
            means = sums / len(self._held_out)
            figures |= {
                f"held_out_{name}": float(means[:2].mean()),
                f"held_out_{name}_filled": float(means[2]),
            }
        if self.sheet is not None:
            self.sheet.write(model.transformer, self.tokenizer, folder / f"sheet-{step:06d}.png")
        return figures


def _some(filled: NDArray[np.bool_], rng: np.random.Generator, n: int, share: float) -> Ints:
    """n of the cells, about `share` of them filled where there are so many; rising."""
    full, empty = np.flatnonzero(filled), np.flatnonzero(~filled)
    n_full = min(len(full), max(round(n * share), n - len(empty)))
    chosen = [
        rng.choice(full, n_full, replace=False),
        rng.choice(empty, min(n, len(filled)) - n_full, replace=False),
    ]
    return np.sort(np.concatenate(chosen))


@lru_cache(maxsize=4096)
def _box_positions(layout: Layout, side: int) -> tuple[cells.Positions, int]:
    return cells.positions(layout, side), cells.n_owners(layout)


def _bare(layout: Layout) -> Layout:
    """The layout without its words, by which positions and order are cached."""
    things = tuple(replace(thing, phrase="") for thing in layout.things)
    return replace(layout, things=things, ground="")


def _positions(layout: Layout, side: int) -> tuple[cells.Positions, int]:
    return _box_positions(_bare(layout), side)


@lru_cache(maxsize=4096)
def _bare_order(layout: Layout) -> Ints:
    return cells.drawing_order(layout)


def _order(layout: Layout) -> Ints:
    return _bare_order(_bare(layout))


def _elements(rows: list[cells.Positions]) -> Elements:
    names = cells.Positions.__dataclass_fields__
    return Elements(*(torch.from_numpy(np.stack([getattr(r, n) for r in rows])) for n in names))
