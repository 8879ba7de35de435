"""Stage: train the transformer to draw the codes of pictures from their captions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.model.contrastive import ContrastiveLoss
from limner.model.image_tokenizer import ImageTokenizer
from limner.model.transformer import Transformer, TransformerConfig
from limner.sampling.decoding import draw_codes, last
from limner.sampling.sampling import SamplingConfig, spread_order, uniforms
from limner.text.text_tokenizer import NULL, TextTokenizer
from limner.training.loop import LoopConfig
from limner.training.tasks.image_tokenizer import to_pixels
from limner.training.tasks.sheet import write_sheet
from limner.training.tasks.teacher import Teacher, TeacherLoss


@dataclass(frozen=True)
class GeneratorTraining:
    """The settings of the stage."""

    model: TransformerConfig = field(default_factory=TransformerConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=6000, lr=2e-3, muon_lr=2e-3, ema=0.999)
    )
    batch: int = 64
    random_order_prob: tuple[float, float] = (
        0.5,
        0.15,
    )  # share of random orders, first to last step
    drop_text: float = 0.1  # share of captions replaced by [NULL], for guidance
    parallel_prob: float = (
        0.0  # share of steps that ask for all cells left after the same few known
    )
    from_nothing: float = 0.4  # share of those in which no cell is known: all is up to the text
    # Share of scenes, first to last step: single things are learned before combinations.
    scenes: tuple[float, float] = (0.3, 0.3)
    code_dropout: float = 0.0  # share of known codes replaced at random, so that the text counts
    contrastive: float = 0.1  # weight of the contrastive loss
    paired: float = 0.25  # share of the batch that the contrastive loss and the teacher see
    teacher: float = 0.0  # weight of the teacher's loss on captions; 0 for no teacher
    # Random cells of a picture that either loss uses. Cells of one picture are similar, so on a
    # fine grid more pictures with fewer cells teach more.
    n_asked: int = 64


class Examples(Protocol):
    """Captioned pictures as codes."""

    codes: NDArray[np.integer[Any]]  # (N, n_cells, n_groups), row-major cells
    weights: NDArray[np.floating[Any]]  # (N,), how often each is wanted among its kind
    is_scene: NDArray[np.bool_]  # (N,), the one kind: composed; the other: as the artist drew it
    concepts: NDArray[np.integer[Any]]  # (N,), equal where two pictures show the same thing
    partners: NDArray[np.integer[Any]]  # (N,), the picture with its two things exchanged, or -1

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """One of the captions of example `index`."""


class Generator(nn.Module):
    """The transformer and what its losses learn, trained together."""

    def __init__(self, config: TransformerConfig, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.transformer = Transformer(config)
        self.contrast = ContrastiveLoss()
        self.teacher = None if teacher is None else TeacherLoss(config.d, teacher.dimensions)


class GeneratorTask:
    """Predicts each cell from the cells before it and the caption."""

    def __init__(
        self,
        config: GeneratorTraining,
        examples: Examples,
        held_out: Examples,
        tokenizer: TextTokenizer,
        sheet: "SheetOfPrompts | None" = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.config, self.examples, self.held_out = config, examples, held_out
        self.tokenizer, self.sheet, self.teacher = tokenizer, sheet, teacher
        self.model = Generator(config.model, teacher)
        self.canonical = spread_order(config.model.grid)

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch, drawn by the examples' weights."""
        chosen = self._chosen(step, rng)
        # The pairs that the contrastive loss compares, and the teacher sees, keep their captions.
        n_paired = int(self.config.batch * self.config.paired)
        dropped = (rng.random(len(chosen)) < self.config.drop_text) & (
            np.arange(len(chosen)) >= n_paired
        )
        captions = [self.examples.caption(int(i), rng) for i in chosen]
        text = self._texts(captions, dropped)
        n_known = self._n_known(rng)
        orders = self._orders(step, rng)
        losses = self._losses(text, self.examples, chosen, orders, n_paired, rng, n_known)
        if n_paired and self.teacher is not None:
            losses["teacher"] = self._taught(text[:n_paired], captions[:n_paired], self.teacher)
            losses["loss"] = losses["loss"] + self.config.teacher * losses["teacher"]
        return losses

    def _chosen(self, step: int, rng: np.random.Generator) -> NDArray[np.integer]:
        """Examples of a batch: the share of scenes by the step, each kind by its weights."""
        kinds = [np.flatnonzero(self.examples.is_scene == kind) for kind in (False, True)]
        wanted = rng.random(self.config.batch) < self._at(self.config.scenes, step)
        chosen = np.empty(self.config.batch, np.int64)
        for kind, members in enumerate(kinds):
            rows = wanted == kind
            members = members if len(members) else kinds[1 - kind]  # only one kind is there
            sums = np.cumsum(self.examples.weights[members])
            indices = np.searchsorted(sums, rng.random(int(rows.sum())) * sums[-1], side="right")
            chosen[rows] = members[np.minimum(indices, len(members) - 1)]
        # "A left of B" beside "B left of A": only the order of the words tells them apart.
        for i in range(0, int(self.config.batch * self.config.paired) - 1, 2):
            partner = self.examples.partners[chosen[i]]
            if partner >= 0:
                chosen[i + 1] = partner
        return chosen

    def _at(self, share: tuple[float, float], step: int) -> float:
        """A share that goes in a line from its first value to its last."""
        first, last = share
        return first + (last - first) * step / max(1, self.config.loop.steps)

    def _n_known(self, rng: np.random.Generator) -> int | None:
        """Number of known cells, or None to predict each cell from those before it.

        Small numbers are more frequent: with many known cells the rest is easy.
        """
        parallel_prob, nothing, share = rng.random(3)
        if parallel_prob >= self.config.parallel_prob:
            return None
        return (
            0 if nothing < self.config.from_nothing else int(share**3 * self.config.model.n_cells)
        )

    def _losses(
        self,
        text: Tensor,
        examples: Examples,
        chosen: NDArray[np.integer],
        orders: NDArray[np.integer],
        n_paired: int,
        rng: np.random.Generator | None = None,
        n_known: int | None = None,
    ) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        codes = torch.from_numpy(examples.codes[chosen].astype(np.int64)).to(device)
        order = torch.from_numpy(orders).to(device)
        in_order = codes.gather(1, order[..., None].expand(-1, -1, codes.shape[-1]))
        transformer = self.model.transformer
        seen = self._corrupt_codes(in_order, rng) if rng is not None else in_order
        asked = self._some(n_known or 0, rng).to(device)
        scores = transformer(text.to(device), in_order, order, seen, n_known, asked)
        wanted = in_order[:, asked]
        # All groups at once: the way back through a slice would fill a table of zeros for each.
        of_each = F.cross_entropy(scores.flatten(0, 2).float(), wanted.flatten(), reduction="none")
        by_group = of_each.unflatten(0, (-1, codes.shape[-1])).mean(0).unbind()
        losses = {f"code{g}": loss for g, loss in enumerate(by_group)}
        losses["loss"] = of_each.mean()
        if n_paired > 1 and self.config.contrastive:
            concepts = torch.from_numpy(examples.concepts[chosen[:n_paired]]).to(device)
            texts = transformer.embed_text(text[:n_paired].to(device))
            shown = self._some(0, rng).to(device)
            images = transformer.embed_image(codes[:n_paired, shown], shown[None])
            losses["contrastive"] = self.model.contrast(texts, images, concepts)
            losses["loss"] = losses["loss"] + self.config.contrastive * losses["contrastive"]
        return losses

    def _taught(self, text: Tensor, captions: list[str], teacher: Teacher) -> Tensor:
        """The teacher's loss on captions, given also as tokens."""
        assert self.model.teacher is not None
        device = next(self.model.parameters()).device
        pooled = self.model.transformer.pool_text(text.to(device))
        loss: Tensor = self.model.teacher(pooled, teacher.vectors(captions).to(device))
        return loss

    def _texts(self, captions: list[str], dropped: NDArray[np.bool_]) -> Tensor:
        tokens, _ = self.tokenizer.encode_padded(captions, self.config.model.max_text)
        tokens[dropped] = 0
        tokens[dropped, 0] = NULL
        used = int((tokens != 0).sum(1).max())
        return torch.from_numpy(tokens[:, :used].astype(np.int64))

    def _some(self, first: int, rng: np.random.Generator | None) -> Tensor:
        """Up to `n_asked` of the cells from `first` on, in rising order; without chance, all."""
        cells = np.arange(first, self.config.model.n_cells)
        if rng is not None and len(cells) > self.config.n_asked:
            cells = np.sort(rng.choice(cells, self.config.n_asked, replace=False))
        return torch.from_numpy(cells)

    def _corrupt_codes(self, codes: Tensor, rng: np.random.Generator) -> Tensor:
        """Codes with some wrong cells, as in drawing."""
        if not self.config.code_dropout:
            return codes
        wrong = torch.from_numpy(rng.random(codes.shape[:2]) < self.config.code_dropout)
        others = torch.from_numpy(rng.integers(0, self.config.model.n_codes, codes.shape))
        return torch.where(wrong[..., None].to(codes.device), others.to(codes.device), codes)

    def _orders(self, step: int, rng: np.random.Generator) -> NDArray[np.integer]:
        share = self._at(self.config.random_order_prob, step)
        orders = np.repeat(self.canonical[None], self.config.batch, axis=0)
        random = rng.random(self.config.batch) < share
        orders[random] = rng.permuted(orders[random], axis=1)
        return orders

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Loss on held-out examples in the canonical order, and a sheet of fixed prompts."""
        assert isinstance(model, Generator)
        rng = np.random.default_rng(0)
        n = min(self.config.batch, len(self.held_out.codes))
        chosen = np.arange(n)
        captions = [self.held_out.caption(int(i), rng) for i in chosen]
        text = self._texts(captions, np.zeros(n, bool))
        orders = np.repeat(self.canonical[None], n, axis=0)
        losses = self._losses(text, self.held_out, chosen, orders, n_paired=0)
        if self.sheet is not None:
            self.sheet.write(model.transformer, self.tokenizer, folder / f"sheet-{step:06d}.png")
        return {"held_out": float(losses["loss"])}


@dataclass(frozen=True)
class SheetOfPrompts:
    """Fixed prompts, drawn during training."""

    prompts: tuple[str, ...]
    image_tokenizer: ImageTokenizer
    sampling: SamplingConfig
    columns: int = 16

    def write(self, transformer: Transformer, tokenizer: TextTokenizer, output: Path) -> None:
        """Draw every prompt once, seed 0, and write one page."""
        config = transformer.config
        tokens, _ = tokenizer.encode_padded(list(self.prompts), config.max_text)
        nothing = np.zeros_like(tokens)
        nothing[:, 0] = NULL
        numbers = np.stack(
            [uniforms(0, i, 0, config.n_cells, config.n_groups) for i in range(len(self.prompts))]
        )
        network = TorchNetwork(transformer)
        codes = last(draw_codes(network, tokens, nothing, numbers, self.sampling))
        pictures = self.image_tokenizer.decode(torch.from_numpy(codes).to(network.device))
        write_sheet(to_pixels(pictures), output, self.columns)
