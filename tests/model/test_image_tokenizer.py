"""Codes to values and back, pictures to codes and back, and the upscalers' shapes."""

from math import ceil, prod, sqrt

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.model.image_tokenizer import FSQ, ImageTokenizer, ImageTokenizerConfig
from limner.model.upscaler import UpscalerConfig, upscalers
from limner.training.presets import (
    NANO,
    SMALL,
    TINY,
    Preset,
)

levels_and_groups = st.tuples(
    st.lists(st.integers(2, 9), min_size=1, max_size=4).map(tuple), st.integers(1, 3)
)


def all_codes(levels: tuple[int, ...], n_groups: int) -> tuple[torch.Tensor, int]:
    """Every code there is in every group, (1, grid * grid, n_groups), the last cells zero."""
    grid = ceil(sqrt(prod(levels)))
    code = torch.zeros(grid * grid, dtype=torch.long)
    code[: prod(levels)] = torch.arange(prod(levels))
    return torch.stack([code.roll(g) for g in range(n_groups)], dim=1)[None], grid


@settings(max_examples=40)
@given(levels_and_groups)
def test_every_code_comes_back_from_its_values(shape: tuple[tuple[int, ...], int]) -> None:
    levels, n_groups = shape
    fsq = FSQ(levels, n_groups)
    codes, grid = all_codes(levels, n_groups)
    values = fsq.values(codes, grid)
    assert values.shape == (1, n_groups * len(levels), grid, grid)
    assert values.min() == -1
    assert values.max() == 1
    assert torch.equal(fsq.codes(values), codes)


@settings(max_examples=40)
@given(levels_and_groups)
def test_the_network_can_reach_every_code(shape: tuple[tuple[int, ...], int]) -> None:
    levels, n_groups = shape
    fsq = FSQ(levels, n_groups)
    codes, grid = all_codes(levels, n_groups)
    values = fsq.values(codes, grid)
    z = torch.logit((values + 1) / 2, eps=1e-3) / 1.6  # what the rounding gets to see
    assert torch.allclose(fsq(z), values, atol=1e-6)
    assert torch.equal(fsq.codes(fsq(z)), codes)


def test_any_input_is_rounded_to_a_level() -> None:
    fsq = FSQ((8, 5, 5, 5), 2)
    z = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(0)) * 3
    values = fsq(z)
    codes = fsq.codes(values)
    assert codes.shape == (4, 36, 2)
    assert codes.min() >= 0
    assert codes.max() < 1000
    assert torch.allclose(fsq.values(codes, 6), values, atol=1e-6)
    near = torch.sigmoid(1.6 * z) * 2 - 1
    widest = 1 / (torch.tensor([7.0, 4, 4, 4]).repeat(2).view(-1, 1, 1))
    assert ((values - near).abs() <= widest + 1e-6).all()  # half a step of each dimension


def test_gradient_passes_the_rounding_as_if_it_were_not_there() -> None:
    fsq = FSQ((8, 5), 1)
    z = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    (got,) = torch.autograd.grad((fsq(z) * weight).sum(), z)
    (wanted,) = torch.autograd.grad(((torch.sigmoid(1.6 * z) * 2 - 1) * weight).sum(), z)
    assert torch.allclose(got, wanted, atol=1e-6)


def make(config: ImageTokenizerConfig = TINY.image_tokenizer.model) -> ImageTokenizer:
    torch.manual_seed(0)
    return ImageTokenizer(config).eval()


def pictures(n: int, px: int) -> torch.Tensor:
    return torch.rand(n, 4, px, px, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("config", "grid"),
    [
        (TINY.image_tokenizer.model, 4),
        (ImageTokenizerConfig(image_px=48, encoder_channels=(8, 8), encoder_blocks=(0, 0)), 6),
        (
            ImageTokenizerConfig(
                image_px=32,
                patch_px=2,
                levels=(4, 4, 4),
                n_groups=1,
                encoder_channels=(8, 8, 8),
                encoder_blocks=(1, 0, 1),
                decoder_channels=(8, 8),
                decoder_blocks=(1, 1),
            ),
            4,
        ),
    ],
)
@torch.no_grad()
def test_grid_is_what_the_layers_make_of_a_picture(config: ImageTokenizerConfig, grid: int) -> None:
    assert (config.grid, config.n_cells) == (grid, grid * grid)
    tokenizer = make(config)
    codes = tokenizer.encode(pictures(2, config.image_px))
    assert codes.shape == (2, config.n_cells, config.n_groups)
    assert 0 <= codes.min() <= codes.max() < config.n_codes
    assert tokenizer.decode(codes).shape == (2, 4, config.image_px, config.image_px)


@pytest.mark.parametrize("preset", [NANO, SMALL, TINY])
def test_presets_fit_together(preset: Preset) -> None:
    tokenizer, generator = preset.image_tokenizer.model, preset.generator.model
    assert (tokenizer.grid, tokenizer.n_codes) == (generator.grid, generator.n_codes)
    assert tokenizer.n_groups == generator.n_groups
    assert preset.sampling.keys() == {"low", "medium", "high"}
    upscaler = preset.upscaler.model
    assert len(upscaler.channels) == len(upscaler.n_layers)


@torch.no_grad()
def test_rebuilding_is_encoding_and_decoding() -> None:
    tokenizer = make()
    seen = pictures(3, 32)
    assert torch.allclose(tokenizer(seen), tokenizer.decode(tokenizer.encode(seen)), atol=1e-5)


@torch.no_grad()
def test_groups_that_are_not_kept_are_not_seen() -> None:
    tokenizer = make()
    seen = pictures(3, 32)
    keep = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    rebuilt = tokenizer(seen, keep)
    assert torch.allclose(rebuilt[0], tokenizer(seen)[0], atol=1e-6)
    assert not torch.allclose(rebuilt[1], tokenizer(seen)[1], atol=1e-3)
    values = tokenizer.fsq(tokenizer.encoder(seen * 2 - 1))
    values[1, 4:] = 0
    values[2] = 0
    assert torch.allclose(rebuilt, tokenizer.decode_values(values), atol=1e-6)


@torch.no_grad()
def test_a_picture_is_coded_the_same_alone_and_in_company() -> None:
    tokenizer = make()
    seen = pictures(3, 32)
    codes = tokenizer.encode(seen)
    assert torch.equal(tokenizer.encode(seen[1:2]), codes[1:2])
    assert torch.allclose(tokenizer.decode(codes[1:2]), tokenizer.decode(codes)[1:2], atol=1e-6)


@torch.no_grad()
def test_upscalers_start_as_a_plain_enlargement() -> None:
    passes = upscalers(UpscalerConfig(channels=(6, 4), n_layers=(2, 0)))
    assert len(passes) == 2
    small = pictures(2, 10)[..., :7]
    plain = F.interpolate(small, scale_factor=4, mode="bilinear")
    for upscaler in passes:
        upscaler.last.bias.data.zero_()  # type: ignore[union-attr]
        assert upscaler(small).shape == (2, 4, 40, 28)
        assert torch.allclose(upscaler(small), plain, atol=1e-6)
        torch.nn.init.normal_(upscaler.last.weight)
        assert not torch.allclose(upscaler(small), plain, atol=1e-2)
