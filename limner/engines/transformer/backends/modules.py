"""Each graph as a PyTorch module: what the `torch` backend runs, and what is exported to ONNX.

A module keeps its part of the model under the name that the part has in the weights
("transformer", "image_tokenizer", …), so its weights have the names that are stored.
"""

import torch
from torch import Tensor, nn

from limner.model.bundle import Bundle
from limner.model.image_tokenizer import ImageTokenizer
from limner.model.layout_transformer import Elements, LayoutTransformer, Told, token_marks
from limner.model.planner import Planner
from limner.model.restorer import Restorer, restored
from limner.model.transformer import EncodedText, Transformer


class TextGraph(nn.Module):
    """text (R, T) to memory (R, n_layers, 2, H, T, D_head), mask (R, 1, 1, T), embedding (R, E)."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read texts."""
        memory = self.transformer.encode_prompt(text)
        stacked = torch.stack([torch.stack(keys, dim=1) for keys in memory.keys], dim=1)
        return stacked, memory.mask, self.transformer.embed_text(text)


class StepGraph(nn.Module):
    """`Transformer.step`, with the memory as one tensor and the first code's scores."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(
        self,
        memory: Tensor,
        mask: Tensor,
        cache: Tensor,
        known: Tensor,
        known_places: Tensor,
        places: Tensor,
        masks: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read cells and look at the next ones."""
        hidden, fresh = self.transformer.step(
            EncodedText(_of_layers(memory), mask), cache, known, known_places, places, masks
        )
        return hidden, self.transformer.head.first(hidden), fresh


class LaterGraph(nn.Module):
    """hidden (R, Q, D) and codes (R, Q, g) to the scores (R, Q, V) of code g."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Score the next code."""
        return self.transformer.head.after(hidden, codes)


class ImageGraph(nn.Module):
    """Codes (B, n_cells, n_groups) to their unit vectors (B, E) in the contrastive space."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, codes: Tensor) -> Tensor:
        """Embed pictures."""
        return self.transformer.embed_image(codes)


class LayoutStepGraph(nn.Module):
    """`LayoutTransformer.step_layout`, all inputs as tensors, and the first code's scores."""

    def __init__(self, transformer: LayoutTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(
        self,
        memory: Tensor,
        told: Tensor,
        cache: Tensor,
        seen: Tensor,
        codes: Tensor,
        known: list[Tensor],
        asked: list[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read cells and look at the next ones; known, asked: the fields of `Elements`."""
        hidden, fresh = self.transformer.step_layout(
            Told(_of_layers(memory), token_marks(told)),
            cache,
            seen,
            codes,
            Elements(*known),
            Elements(*asked),
        )
        return hidden, self.transformer.head.first(hidden), fresh


class LayoutImageGraph(nn.Module):
    """Codes (B, n, n_groups) of cells, and their places, to unit vectors (B, E)."""

    def __init__(self, transformer: LayoutTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, codes: Tensor, places: list[Tensor]) -> Tensor:
        """Embed pictures."""
        return self.transformer.embed_cells(codes, Elements(*places))


class PixelsGraph(nn.Module):
    """Codes (B, n_cells, n_groups) to premultiplied RGBA (B, 4, px, px) in [0, 1]."""

    def __init__(self, image_tokenizer: ImageTokenizer) -> None:
        super().__init__()
        self.image_tokenizer = image_tokenizer

    def forward(self, codes: Tensor) -> Tensor:
        """Decode pictures."""
        return self.image_tokenizer.decode(codes).clamp(0, 1)


class RowsGraph(nn.Module):
    """Codes (B, rows, columns, n_groups) to premultiplied RGBA of eight pixels a cell."""

    def __init__(self, image_tokenizer: ImageTokenizer) -> None:
        super().__init__()
        self.image_tokenizer = image_tokenizer

    def forward(self, codes: Tensor) -> Tensor:
        """Decode canvases of any sides."""
        return self.image_tokenizer.decode_rows(codes).clamp(0, 1)


class CodesGraph(nn.Module):
    """Premultiplied RGBA (B, 4, px, px) in [0, 1] to codes (B, n_cells, n_groups)."""

    def __init__(self, image_tokenizer: ImageTokenizer) -> None:
        super().__init__()
        self.image_tokenizer = image_tokenizer

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode pictures."""
        return self.image_tokenizer.encode(pictures)


class UpscaleGraph(nn.Module):
    """One pass of the upscalers: (B, 4, H, W) to (B, 4, 4H, 4W), both in [0, 1]."""

    def __init__(self, upscalers: nn.ModuleList, index: int) -> None:
        super().__init__()
        self.upscalers, self.index = upscalers, index

    def forward(self, pictures: Tensor) -> Tensor:
        """Enlarge pictures."""
        larger: Tensor = self.upscalers[self.index](pictures)
        return larger.clamp(0, 1)


class RestoreGraph(nn.Module):
    """Premultiplied RGBA of flat art (B, 4, H, W) in [0, 1] to twice its sides."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, pictures: Tensor) -> Tensor:
        """Enlarge decoded pictures."""
        return restored(self.restorer, pictures)


class PlannerGraph(nn.Module):
    """ids (B, T) to the five scores of `PlannerScores`."""

    def __init__(self, planner: Planner) -> None:
        super().__init__()
        self.planner = planner

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        """Read prompts."""
        return tuple(self.planner(ids))


def of_transformer(transformer: Transformer) -> dict[str, nn.Module]:
    """The graphs that a transformer alone gives, by name."""
    found: dict[str, nn.Module] = {
        "text": TextGraph(transformer),
        "step": StepGraph(transformer),
        "image": ImageGraph(transformer),
    }
    for group in range(1, transformer.config.n_groups):
        found[f"code{group}"] = LaterGraph(transformer)
    if isinstance(transformer, LayoutTransformer):
        found["layout_step"] = LayoutStepGraph(transformer)
        found["layout_image"] = LayoutImageGraph(transformer)
    return found


def of_bundle(bundle: Bundle) -> dict[str, nn.Module]:
    """All graphs of a model without a planner, by name.

    Weights that draw layouts have the graphs of a square too: single things, edits and
    variations are drawn by these.
    """
    found = of_transformer(bundle.transformer)
    found["pixels"] = PixelsGraph(bundle.image_tokenizer)
    found["codes"] = CodesGraph(bundle.image_tokenizer)
    if isinstance(bundle.transformer, LayoutTransformer):
        found["layout_pixels"] = RowsGraph(bundle.image_tokenizer)
    for i in range(len(bundle.upscalers)):
        found[f"upscale{i + 1}"] = UpscaleGraph(bundle.upscalers, i)
    if bundle.restorer is not None:
        found["restore"] = RestoreGraph(bundle.restorer)
    return found


def _of_layers(memory: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each decoder layer, from the memory of all."""
    return [(memory[:, i, 0], memory[:, i, 1]) for i in range(memory.shape[1])]
