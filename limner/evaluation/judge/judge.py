"""The judge: scores how well a picture matches a caption. For evaluation only, never for training.

It is independent of the generator: another image network (EfficientNet-Lite 1), another text
network (MiniLM), and drawings of three artists that the generator has not seen. Both networks are
frozen; two small heads map matching pictures and captions to near vectors. A model that judges
itself gets too good a score (arXiv 2111.15640, section 4).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.data.emoji.library import Library
from limner.errors import WeightsError
from limner.evaluation.judge import scenes as judge_scenes
from limner.evaluation.judge.scenes import JudgeScenes
from limner.evaluation.judge.sentences import WIDTH, SentenceEncoder
from limner.model.contrastive import ContrastiveLoss
from limner.progress import StageProgress
from limner.storage.checkpoints import weights
from limner.training.loop import LoopConfig
from limner.training.loop import learning_rate as share_of_peak
from limner.training.tasks.backbone import GRID, Backbone, to_input

KIND = "judge"
GROUND = (0.88, 0.88, 0.90)  # transparency as the judge sees it: white drawings stay visible

_BATCH = 32
_HIDDEN = 0.5  # of the pooled features, at each step of training


def _silent(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class JudgeConfig:
    """The heads and their training."""

    data: Path = Path()
    output: Path = Path()
    scenes: JudgeScenes = field(default_factory=JudgeScenes)
    width: int = 256  # of the common space
    text_width: int = 128
    dropout: float = 0.15
    steps: int = 400
    batch: int = 192
    lr: float = 2e-3
    weight_decay: float = 0.1
    seed: int = 0
    threads: int = 0  # 0 leaves PyTorch and ONNX Runtime their own choice


class PictureHead(nn.Module):
    """Cells of a frozen feature map to one unit vector: what is there, and what is where.

    The content is one linear map of means and maxima over the picture, with strong dropout: larger
    heads overfit to the judge's few artists.
    """

    def __init__(self, n_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(2 * n_features, affine=False)
        self.hide = nn.Dropout(_HIDDEN)
        self.whole = nn.Linear(2 * n_features, width)
        self.embed_cell = nn.Linear(n_features, width)
        self.drop = nn.Dropout(dropout)
        self.place = nn.Parameter(torch.randn(GRID * GRID, width) * 0.1)
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.out = nn.Linear(width, width)

    def forward(self, cells: Tensor) -> Tensor:
        """(B, cells, features) to (B, width)."""
        there = self.scale(torch.cat([cells.mean(1), cells.amax(1)], 1))
        x = self.drop(self.embed_cell(F.layer_norm(cells, cells.shape[-1:])))
        where = self.out(self.mix(x + self.place).mean(1))
        return F.normalize(self.whole(self.hide(there)) + where, dim=-1)


class TextHead(nn.Module):
    """Word piece vectors of a frozen text network to one unit vector; one layer of attention."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Linear(WIDTH, inner)
        self.layer = nn.TransformerEncoderLayer(
            inner, nhead=4, dim_feedforward=2 * inner, dropout=dropout, batch_first=True
        )
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(inner + WIDTH, width)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (B, T, WIDTH) and their mask (B, T) to (B, width)."""
        known = mask[..., None].float()
        count = known.sum(1).clamp_min(1)
        sentence = F.normalize((states * known).sum(1) / count, dim=-1) * WIDTH**0.5
        x = self.layer(self.embed(states), src_key_padding_mask=~mask)
        x = (x * known).sum(1) / count
        return F.normalize(self.out(self.drop(torch.cat([x, sentence], 1))), dim=-1)


class JudgeHeads(nn.Module):
    """The trained part of the judge."""

    def __init__(self, n_features: int, config: JudgeConfig) -> None:
        super().__init__()
        self.picture = PictureHead(n_features, config.width, config.dropout)
        self.text = TextHead(config.width, config.text_width, config.dropout)
        self.contrast = ContrastiveLoss()


class Judge:
    """The frozen judge."""

    def __init__(
        self, backbone: Backbone, sentences: SentenceEncoder, heads: JudgeHeads, digest: str
    ) -> None:
        self.backbone, self.sentences, self.heads = backbone, sentences, heads.eval()
        self.digest = digest  # of its weights: figures of two judges cannot be compared

    @torch.inference_mode()
    def embed_pictures(self, premultiplied: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (N, width) of premultiplied RGBA pictures (N, SOURCE_PX, SOURCE_PX, 4)."""
        found = []
        for start in range(0, len(premultiplied), _BATCH):
            cells = cells_of(self.backbone, premultiplied[start : start + _BATCH])
            found.append(self.heads.picture(cells).numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, width) of English captions."""
        found = []
        for start in range(0, len(texts), 256):
            states, mask = self.sentences.tokens(texts[start : start + 256])
            known = torch.from_numpy(states).float()
            found.append(self.heads.text(known, torch.from_numpy(mask)).numpy())
        return np.concatenate(found)


def cells_of(backbone: Backbone, premultiplied: NDArray[np.uint8]) -> Tensor:
    """What the picture head reads: (N, cells, features), the colours of each cell among them."""
    shown = to_input(premultiplied, GROUND)
    cells, _ = backbone.features(shown)
    colours = F.adaptive_avg_pool2d(shown, 2 * GRID)  # four patches a cell
    colours = F.pixel_unshuffle(colours, 2).flatten(2).mT
    return torch.cat([cells, colours], -1)


def n_features(backbone: Backbone) -> int:
    """Features a cell, as `cells_of` gives them."""
    return backbone.n_middle + backbone.n_pooled + 3 * 4


@dataclass(frozen=True)
class Prepared:
    """The training data of the heads: outputs of the frozen networks."""

    cells: NDArray[np.float16]  # (N, cells, features)
    states: NDArray[np.float16]  # (M, T, WIDTH), of each different caption once
    mask: NDArray[np.bool_]  # (M, T)
    captions: NDArray[np.int64]  # (N, 2), rows of states
    shown: NDArray[np.int64]  # (N,), equal where the same caption fits
    groups: tuple[NDArray[np.int64], ...]  # rows of siblings


def prepare(
    library: Library,
    config: JudgeConfig,
    backbone: Backbone,
    sentences: SentenceEncoder,
    report: StageProgress = _silent,
) -> Prepared:
    """Draw the judge's scenes and run the frozen networks on them."""
    total = judge_scenes.n_examples(library, config.scenes)
    cells, rows, keys, groups = [], [], [], []
    row_from_caption: dict[str, int] = {}
    batch: list[NDArray[np.uint8]] = []
    for example in judge_scenes.examples(library, config.scenes):
        batch.append(example.picture)
        if len(batch) == _BATCH:
            cells.append(cells_of(backbone, np.stack(batch)).numpy().astype(np.float16))
            batch = []
            report("pictures", len(cells) * _BATCH, total)
        rows.append(
            [row_from_caption.setdefault(text, len(row_from_caption)) for text in example.captions]
        )
        keys.append(_number(judge_scenes.shown(example.spec)))
        groups.append(example.group)
    if batch:
        cells.append(cells_of(backbone, np.stack(batch)).numpy().astype(np.float16))
    report("captions", 0, len(row_from_caption))
    states, mask = sentences.tokens(list(row_from_caption))
    by_group = np.split(np.arange(len(groups)), np.flatnonzero(np.diff(groups)) + 1)
    return Prepared(
        np.concatenate(cells), states, mask, np.array(rows), np.array(keys), tuple(by_group)
    )


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")


def train(prepared: Prepared, config: JudgeConfig, report: StageProgress = _silent) -> JudgeHeads:
    """Train the heads; the same prepared data and seed give the same heads."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    heads = JudgeHeads(prepared.cells.shape[-1], config).train()
    optimizer = torch.optim.AdamW(
        heads.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    schedule = LoopConfig(steps=config.steps, warmup=max(1, config.steps // 20), final_lr=0.02)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * share_of_peak(schedule, step)
        loss = _loss(heads, prepared, _batch_of_groups(prepared, config.batch, rng), rng)
        loss.backward()
        nn.utils.clip_grad_norm_(heads.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        report(f"heads, loss {float(loss.detach()):.2f}", step + 1, config.steps)
    return heads.eval()


def _batch_of_groups(prepared: Prepared, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At least `size` examples in whole groups, so that siblings are in one batch."""
    chosen: list[NDArray[np.int64]] = []
    n_chosen = 0
    while n_chosen < size:
        chosen.append(prepared.groups[int(rng.integers(len(prepared.groups)))])
        n_chosen += len(chosen[-1])
    return np.concatenate(chosen)


def _loss(
    heads: JudgeHeads, prepared: Prepared, rows: NDArray[np.int64], rng: np.random.Generator
) -> Tensor:
    said = prepared.captions[rows, rng.integers(0, 2, len(rows))]
    mask = prepared.mask[said]
    states = prepared.states[said, : int(mask.sum(1).max())]
    texts = heads.text(
        torch.from_numpy(states).float(), torch.from_numpy(mask[:, : states.shape[1]])
    )
    pictures = heads.picture(torch.from_numpy(prepared.cells[rows]).float())
    return heads.contrast(texts, pictures, torch.from_numpy(prepared.shown[rows]))


def main(config: JudgeConfig, report: StageProgress = _silent) -> Judge:
    """Train the judge on the art under `config.data` and write it to `config.output`.

    Raises DataError without the art and MissingExtra without the frozen networks.
    """
    backbone, sentences = Backbone.load("lite1"), SentenceEncoder(config.threads)
    library = Library.open(config.data)
    prepared = prepare(library, config, backbone, sentences, report)
    heads = train(prepared, config, report)
    save(heads, config)
    return load(config.output, config.threads)


def save(heads: JudgeHeads, config: JudgeConfig) -> None:
    """Write the heads as a checkpoint folder, replacing an earlier judge."""
    arrays = {name: value.numpy() for name, value in heads.state_dict().items()}
    settings: dict[str, Any] = asdict(config)
    for name in ("data", "output", "threads"):  # of this machine, not of the judge
        settings.pop(name)
    about = {"kind": KIND, "n_features": heads.picture.embed_cell.in_features, **settings}
    weights.write(config.output, about, tensors={"heads": arrays}, replace=True)


def load(folder: Path, threads: int = 0) -> Judge:
    """The judge in `folder`. Raises WeightsError if there is none or it is damaged."""
    checkpoint = weights.read(folder)
    if checkpoint.kind != KIND:
        raise WeightsError(
            f"The checkpoint in {folder} is a {checkpoint.kind}, not a judge",
            hint="Remove the folder; `limner evaluate` then trains a judge.",
        )
    about = checkpoint.config
    names = ("width", "text_width", "dropout")
    heads = JudgeHeads(about["n_features"], JudgeConfig(**{name: about[name] for name in names}))
    tensors = checkpoint.tensors("heads")
    heads.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    digest = checkpoint.entries["heads.safetensors"].sha256
    return Judge(Backbone.load("lite1"), SentenceEncoder(threads), heads, digest)
