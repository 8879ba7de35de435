"""The average of a run's weights and of those that it began from.

A run that learns new pictures loses part of what its first weights could draw. The average of the
weights before and after keeps most of both (arXiv 2109.01903, section 3).
"""

from pathlib import Path

import torch

from limner.errors import SettingsError
from limner.model.bundle import Bundle
from limner.storage.checkpoints import weights
from limner.text.text_tokenizer import TextTokenizer
from limner.training.weights.init_from_weights import tensors_of

_AVERAGED = "transformer."  # the other networks stay those of the run


def mix(bundle: Bundle, tokenizer: TextTokenizer, source: Path, share: float) -> Bundle:
    """The bundle, its transformer averaged with that of the weights folder `source`.

    share: of `source`, 0 to 1. Raises WeightsError if `source` is missing or damaged, SettingsError
    if the two networks differ in shape or read other tokens or codes: their average would be noise.
    """
    found = weights.read(source)
    other = tensors_of(found)
    own = bundle.state_dict()
    averaged = [n for n in own if n.startswith(_AVERAGED) and own[n].is_floating_point()]
    codes = [n for n in own if n.startswith("image_tokenizer.encoder.")]
    has_same_shapes = all(
        n in other and own[n].shape == other[n].shape for n in (*averaged, *codes)
    )
    text = found.file("text_tokenizer.json").read_text(encoding="utf-8")
    # A run that was packed in between has rounded its weights once more.
    has_same_codes = has_same_shapes and all(
        torch.allclose(own[n], other[n], rtol=1e-3, atol=1e-5) for n in codes
    )
    if not (has_same_shapes and has_same_codes and text == tokenizer.to_json()):
        raise SettingsError(
            f"The run cannot be averaged with {source}: it did not begin from these weights",
            hint="give --mix the weights of `limner begin --from`, or leave it out",
        )
    mixed = Bundle(bundle.config)
    mixed.load_state_dict(
        own | {n: torch.lerp(own[n], other[n].to(own[n].dtype), share) for n in averaged}
    )
    return mixed
