"""Presets: the model sizes and training settings of all stages, by name."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from limner.errors import SettingsError
from limner.model.image_tokenizer import ImageTokenizerConfig
from limner.model.planner import PlannerConfig
from limner.model.restorer import RestorerConfig
from limner.model.transformer import TransformerConfig
from limner.model.upscaler import UpscalerConfig
from limner.sampling.sampling import SamplingConfig
from limner.training.datasets import SetConfig
from limner.training.loop import LoopConfig
from limner.training.tasks.generator import GeneratorTraining
from limner.training.tasks.image_tokenizer import ImageTokenizerTraining
from limner.training.tasks.layouts.examples import SceneMix
from limner.training.tasks.layouts.generator import LayoutTraining
from limner.training.tasks.layouts.tiles import TileConfig
from limner.training.tasks.planner import PlannerTraining
from limner.training.tasks.restorer import RestorerTraining
from limner.training.tasks.upscaler import UpscalerTraining


@dataclass(frozen=True)
class Preset:
    """The settings of all stages."""

    n_vocab: int
    image_tokenizer: ImageTokenizerTraining
    generator: GeneratorTraining
    upscaler: UpscalerTraining
    planner: PlannerTraining = field(default_factory=PlannerTraining)
    restorer: RestorerTraining = field(default_factory=RestorerTraining)
    set: SetConfig = field(default_factory=SetConfig)
    sampling: dict[str, SamplingConfig] = field(default_factory=dict)  # by quality
    # What the generator learns in a run that draws layouts (limner begin --layouts), and from what.
    layouts: LayoutTraining | None = None
    tiles: TileConfig = field(default_factory=TileConfig)

    def sampling_table(self) -> dict[str, dict[str, Any]]:
        """The sampling of each quality, as stored with the weights."""
        return {quality: asdict(config) for quality, config in self.sampling.items()}


# Higher temperatures give a small model wrong cells; lower ones give the same picture for every
# seed. The sweep is in docs/experiments.md.
_STEADY = SamplingConfig(
    n_steps=64,
    guidance_start=2.2,
    guidance=1.3,
    temperature=0.55,
    detail_temperature=0.9,
    top_p=0.99,
)

# Two CPU cores, about three hours in all; runs/cpu_nano.sh has the times and figures.
NANO = Preset(
    n_vocab=8192,
    image_tokenizer=ImageTokenizerTraining(
        loop=LoopConfig(steps=3600, lr=2e-3, ema=0.998), batch=32
    ),
    generator=GeneratorTraining(
        loop=LoopConfig(steps=4300, lr=2e-3, muon_lr=2e-3, ema=0.998, weight_decay=0.02),
        batch=128,
        random_order_prob=(0.3, 0.15),  # so few steps go further in one order
        parallel_prob=0.75,
        scenes=(0.15, 0.5),
        code_dropout=0.1,
    ),
    upscaler=UpscalerTraining(loop=LoopConfig(steps=1500, lr=1e-3, ema=0.998, warmup=50)),
    sampling={
        "low": replace(_STEADY, n_steps=16),
        "medium": replace(_STEADY, n_candidates=2),
        "high": replace(_STEADY, n_candidates=8),
    },
)

# The shipped size: nano continued at 96 px (limner begin --px 96), 12 × 12 cells.
NANO_96 = replace(
    NANO,
    # The codes stay those of 64 px; the transformer learns the finer grid.
    image_tokenizer=replace(
        NANO.image_tokenizer,
        model=replace(NANO.image_tokenizer.model, image_px=96),
        loop=replace(NANO.image_tokenizer.loop, steps=800, lr=1e-3),
        decoder_only=True,
        code_dropout=0.02,
        perceptual=0.1,
    ),
    generator=replace(
        NANO.generator,
        loop=replace(NANO.generator.loop, steps=5000),
        random_order_prob=(0.15, 0.15),
        scenes=(0.5, 0.65),
        paired=0.25,
    ),
    set=SetConfig(n_scenes=120_000),
    # Half the steps without candidates draw as well. A lower temperature of details gives smoother
    # edges. Revising removes half of the specks (docs/experiments.md, 2026-11-26).
    sampling={
        "low": replace(_STEADY, n_steps=16, detail_temperature=0.5),
        "medium": replace(_STEADY, n_steps=32, detail_temperature=0.5, revise_share=0.3),
        "high": replace(
            _STEADY, n_steps=64, detail_temperature=0.5, n_candidates=4, revise_share=0.3
        ),
    },
)

# Layouts on 24 × 24 cells (192 px), from the weights of nano-96: limner begin --layouts.
NANO_192 = replace(
    NANO_96,
    layouts=LayoutTraining(
        loop=LoopConfig(
            steps=6000, lr=1e-3, muon_lr=1e-3, ema=0.997, weight_decay=0.02, report_every=250
        ),
    ),
)

# Mostly single things in boxes of 12 cells, of which scenes are made, and other artists than
# Twemoji more often, so that style words work. From weights of nano-192 (docs/experiments.md).
_THINGS = LayoutTraining(
    loop=LoopConfig(
        steps=4000, lr=5e-4, muon_lr=5e-4, warmup=60, ema=0.998, weight_decay=0.02,
        report_every=250,
    ),
    mix=SceneMix(sides=((12, 1.0),), single_sides=((12, 1.0),), coloured=0.0),
    singles=0.7,
    caption=0.3,
    fixed_boxes=True,
    n_held_out=24,
)  # fmt: skip
NANO_THINGS = replace(
    NANO_192,
    set=replace(NANO_192.set, favoured=2.0),
    layouts=_THINGS,
    tiles=TileConfig(clear=((12, 3_000),), coloured=(), painted=0.85, sides=(12,)),
)

# The same with the teacher of the text.
NANO_TAUGHT = replace(NANO_THINGS, layouts=replace(_THINGS, teacher=0.2))

# A GPU: 256 px, 16 × 16 cells; runs/h200_*.sh.
SMALL = Preset(
    n_vocab=16_384,
    image_tokenizer=ImageTokenizerTraining(
        model=ImageTokenizerConfig(
            image_px=256,
            levels=(8, 8, 8, 8),
            n_groups=1,
            encoder_channels=(96, 192, 384),
            encoder_blocks=(1, 2, 3),
            decoder_channels=(384, 256, 128, 64),
            decoder_blocks=(3, 3, 2, 1),
        ),
        loop=LoopConfig(steps=9000, lr=6e-4, ema=0.999),
        batch=96,
    ),
    generator=GeneratorTraining(
        model=TransformerConfig(
            n_vocab=16_384,
            grid=16,
            n_codes=4096,
            n_groups=1,
            d=384,
            n_heads=6,
            n_encoder_layers=6,
            n_content_layers=4,
            n_query_layers=4,
            embedding=256,
            dropout=0.1,
        ),
        loop=LoopConfig(steps=6000, lr=1e-3, muon_lr=1e-3, ema=0.9995, warmup=300),
        batch=512,
        random_order_prob=(1.0, 0.3),
    ),
    upscaler=UpscalerTraining(
        model=UpscalerConfig(channels=(32,), n_layers=(5,)),
        loop=LoopConfig(steps=3000, lr=1e-3),
    ),
    set=SetConfig(n_captions=150_000, n_held_out=256),
    sampling={
        "low": SamplingConfig(n_steps=24),
        "medium": SamplingConfig(n_steps=32),
        "high": SamplingConfig(n_steps=64, n_candidates=4),
    },
)

# A few seconds for each stage: for tests and trials.
TINY = Preset(
    n_vocab=600,
    image_tokenizer=ImageTokenizerTraining(
        model=ImageTokenizerConfig(
            image_px=32,
            encoder_channels=(16, 32),
            encoder_blocks=(1, 1),
            decoder_channels=(32, 16, 16),
            decoder_blocks=(1, 1, 0),
        ),
        loop=LoopConfig(steps=60, lr=4e-3, warmup=5, report_every=60),
        batch=8,
    ),
    generator=GeneratorTraining(
        model=TransformerConfig(
            n_vocab=600,
            max_text=24,
            grid=4,
            d=64,
            n_heads=2,
            n_encoder_layers=1,
            n_content_layers=2,
            n_query_layers=1,
            embedding=32,
        ),
        loop=LoopConfig(steps=60, lr=3e-3, muon_lr=3e-3, warmup=5, report_every=60),
        batch=8,
    ),
    upscaler=UpscalerTraining(
        model=UpscalerConfig(channels=(8, 8), n_layers=(1, 1)),
        loop=LoopConfig(steps=20, lr=2e-3, warmup=2, report_every=20),
        batch=2,
        crop=8,
        n_pictures=8,
    ),
    restorer=RestorerTraining(
        model=RestorerConfig(channels=(8, 16), blocks=(1, 1)),
        loop=LoopConfig(steps=20, lr=3e-3, warmup=2, report_every=20),
        batch=4,
        perceptual=0.0,
    ),
    planner=PlannerTraining(
        model=PlannerConfig(d=32, n_heads=2, n_layers=1, d_embedding=16, d_relation=8),
        loop=LoopConfig(steps=20, lr=3e-3, warmup=2, report_every=20),
        batch=8,
        n_held_out=8,
    ),
    set=SetConfig(n_scenes=64, n_captions=400, n_held_out=8),
    sampling={
        "low": SamplingConfig(n_steps=4),
        "medium": SamplingConfig(n_steps=8),
        "high": SamplingConfig(n_steps=16, n_candidates=2),
    },
)

# As nano-96 is to nano.
TINY_48 = replace(
    TINY,
    image_tokenizer=replace(
        TINY.image_tokenizer,
        model=replace(TINY.image_tokenizer.model, image_px=48),
        decoder_only=True,
        code_dropout=0.02,
        perceptual=0.1,
    ),
)

# As nano-192 is to nano-96; boxes of 4 cells on a canvas of 8.
TINY_LAYOUTS = replace(
    TINY,
    layouts=LayoutTraining(
        loop=LoopConfig(
            steps=20, lr=3e-3, muon_lr=3e-3, warmup=5, report_every=20, precision="float32"
        ),
        canvas=8,
        mix=SceneMix(
            sides=((4, 1.0), (3, 0.3)), single_sides=((8, 0.5), (6, 0.2), (4, 0.3)), coloured=0.3
        ),
        batch=4,
        single_batch=4,
        n_asked=16,
        n_held_out=4,
    ),
    tiles=TileConfig(
        clear=((3, 8), (4, 12), (6, 8), (8, 8)),
        coloured=((4, 4),),
        every_single=4,
        sides=(3, 4, 6, 8),
    ),
)

PRESETS = {
    "nano": NANO,
    "nano-96": NANO_96,
    "nano-192": NANO_192,
    "nano-things": NANO_THINGS,
    "nano-taught": NANO_TAUGHT,
    "small": SMALL,
    "tiny": TINY,
    "tiny-48": TINY_48,
    "tiny-layouts": TINY_LAYOUTS,
}


def preset(name: str, depth: int | None = None) -> Preset:
    """The preset of a name, its transformer resized if a depth is given.

    Raises SettingsError for an unknown name or a depth outside 1 to 32.
    """
    if name not in PRESETS:
        raise SettingsError(f"Preset {name!r} is not known", hint=f"presets: {', '.join(PRESETS)}")
    found = PRESETS[name]
    if depth is None:
        return found
    if not 1 <= depth <= 32:
        raise SettingsError(f"depth is {depth}; it must be 1 to 32", hint="nano is of depth 3")
    return replace(
        found, generator=replace(found.generator, model=found.generator.model.at_depth(depth))
    )
