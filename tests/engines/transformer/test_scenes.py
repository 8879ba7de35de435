"""Prompts of several things: planned, drawn as a layout, right in number, place and colour."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.engines.base import ImageTask, Notice, Picture, Preview, Progress
from limner.engines.transformer.engine import TransformerEngine
from limner.options import Options
from limner.request import Edit, ImageRequest, Size
from limner.storage.checkpoints.weights import find

SMALL = Size(256, 256)


@pytest.fixture(scope="module")
def engine() -> TransformerEngine:
    """The weights that ship: what is tested here is learned."""
    return TransformerEngine.load(find("nano"), threads=1)


def test_styles_of_the_weights_are_declared(engine: TransformerEngine) -> None:
    assert ("Twemoji style", "Twemoji 风格") in engine.capabilities.styles
    assert len(engine.capabilities.styles) == len(engine.backend.config["styles"])


def _draw(engine: TransformerEngine, prompt: str, **changes: Any) -> Picture:
    values: dict[str, Any] = {"size": SMALL, "quality": "low", "seed": 1} | changes
    events = engine.generate(ImageRequest(prompt, **values))
    [picture] = [event for event in events if isinstance(event, Picture)]
    return picture


def _hue(pixels: Pixels) -> NDArray[np.float64]:
    """Mean colour of what is drawn, RGB."""
    hue: NDArray[np.float64] = pixels[pixels[..., 3] > 128][:, :3].mean(0)
    return hue


def _halves(pixels: Pixels) -> tuple[Pixels, Pixels]:
    middle = pixels.shape[1] // 2
    return pixels[:, :middle], pixels[:, middle:]


@pytest.mark.parametrize(
    ("prompt", "is_red_first"),
    [
        ("a red apple to the left of a blue car", True),
        ("a blue car to the left of a red apple", False),
    ],
)
def test_left_and_right_both_ways_round(
    engine: TransformerEngine, prompt: str, is_red_first: bool
) -> None:
    left, right = _halves(_draw(engine, prompt).pixels)
    red, blue = (left, right) if is_red_first else (right, left)
    assert _hue(red)[0] > _hue(red)[2] + 60
    assert _hue(blue)[2] > _hue(blue)[0] + 60


@pytest.mark.parametrize("prompt", ["three carrots", "三根胡萝卜"])
def test_as_many_things_as_are_asked_for(engine: TransformerEngine, prompt: str) -> None:
    scene = engine.scene(ImageTask(ImageRequest(prompt, size=SMALL, seed=1), 0))
    assert scene is not None
    assert len(scene.layout.things) == 3


@pytest.mark.parametrize("prompt", ["a rocket", "火箭", "a red apple on a blue background"])
def test_one_thing_is_no_scene(engine: TransformerEngine, prompt: str) -> None:
    assert engine.scene(ImageTask(ImageRequest(prompt, size=SMALL, seed=1), 0)) is None


def test_the_same_seed_draws_the_same_bytes_alone_and_in_company(engine: TransformerEngine) -> None:
    request = ImageRequest("a cat and a dog", n=2, size=SMALL, quality="low", seed=3)
    both = [event for event in engine.generate(request) if isinstance(event, Picture)]
    alone = _draw(engine, "a cat and a dog", seed=3)
    assert np.array_equal(alone.pixels, both[0].pixels)
    assert not np.array_equal(both[0].pixels, both[1].pixels)
    assert _draw(engine, "a cat and a dog", seed=3, best_of=2).score is not None


def test_a_plain_ground_is_painted_behind(engine: TransformerEngine) -> None:
    prompt = "a cat and a dog on a blue background"
    painted = _draw(engine, prompt).pixels
    assert (painted[..., 3] == 255).all()
    assert painted[2, 2, 2] > painted[2, 2, 0] + 60
    clear = _draw(engine, prompt, background="transparent").pixels
    assert clear[2, 2, 3] == 0
    opaque = _draw(engine, "a cat and a dog", background="opaque").pixels
    assert tuple(opaque[2, 2]) == (255, 255, 255, 255)


@pytest.mark.parametrize("size", [Size(512, 256), Size(256, 768), Size(400, 272)])
def test_sizes_are_exact(engine: TransformerEngine, size: Size) -> None:
    pixels = _draw(engine, "a sun above a mountain", size=size).pixels
    assert pixels.shape == (size.height, size.width, 4)
    assert 0.02 < (pixels[..., 3] > 128).mean() < 0.98


def test_progress_and_previews_are_told(engine: TransformerEngine) -> None:
    request = ImageRequest("two stars", size=SMALL, quality="low", seed=1, previews=2)
    events = list(engine.generate(request))
    steps = [event for event in events if isinstance(event, Progress)]
    assert [step.done for step in steps] == list(range(1, steps[0].total + 1))
    previews: Sequence[Preview] = [event for event in events if isinstance(event, Preview)]
    assert [preview.pixels.shape for preview in previews] == [(256, 256, 4)] * 2


def test_six_things_have_room(engine: TransformerEngine) -> None:
    request = ImageRequest("six stars", size=SMALL, seed=1)
    scene = engine.scene(ImageTask(request, 0))
    assert scene is not None
    assert scene.layout.columns == 44
    assert len({(thing.box.x, thing.box.y) for thing in scene.layout.things}) == 6


def test_a_ground_is_painted_behind_one_thing_with_room_around_it(
    engine: TransformerEngine,
) -> None:
    drawn = _draw(engine, "a red apple on a blue background").pixels
    border = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
    assert (np.abs(border.astype(int) - (62, 132, 226, 255)) <= 2).all()
    red = drawn[64:192, 64:192, :3].reshape(-1, 3).mean(0)
    assert red[0] > red[2] + 60
    clear = _draw(engine, "a red apple on a blue background", background="transparent").pixels
    assert clear[0, 0, 3] == 0


def test_outlined_things_have_dark_edges_and_others_not(engine: TransformerEngine) -> None:
    def dark(prompt: str) -> float:
        pixels = _draw(engine, prompt).pixels
        solid = pixels[pixels[..., 3] > 200][:, :3]
        return float((solid.max(1) < 70).mean())

    assert dark("a lemon, outlined") > 0.03 > 10 * dark("a lemon")
    assert dark("柠檬，描边") > 0.03
    assert dark("a lemon and a pear, outlined") > 0.03


@pytest.mark.parametrize("prompt", ["black balloon", "a black balloon", "黑气球"])
def test_a_colour_is_drawn_however_it_is_said(engine: TransformerEngine, prompt: str) -> None:
    assert _hue(_draw(engine, prompt).pixels).max() < 90


@pytest.mark.parametrize(
    "prompt", ["cat, dog, rabbit", "猫、狗、兔子", "a cat, a dog and a rabbit"]
)
def test_a_list_of_things_is_a_scene(engine: TransformerEngine, prompt: str) -> None:
    scene = engine.scene(ImageTask(ImageRequest(prompt, size=SMALL, seed=1), 0))
    assert scene is not None
    assert len(scene.layout.things) == 3


def test_keywords_are_no_scene(engine: TransformerEngine) -> None:
    request = ImageRequest("cat, cute, fluffy", size=SMALL, seed=1)
    assert engine.scene(ImageTask(request, 0)) is None


def test_colours_of_known_things_are_painted_and_others_told(engine: TransformerEngine) -> None:
    request = ImageRequest("a purple guitar and a green fridge", size=SMALL, seed=1)
    scene = engine.scene(ImageTask(request, 0))
    assert scene is not None
    said = {colour: thing.phrase for colour, thing in
            zip(scene.colours, scene.layout.things, strict=True)}  # fmt: skip
    assert said["purple"].startswith("a guitar")
    assert said[None].startswith("a green fridge")


def test_every_second_seed_turns_a_thing_about(engine: TransformerEngine) -> None:
    request = ImageRequest("a rocket", n=6, size=SMALL, quality="low", seed=5)
    pictures = [event for event in engine.generate(request) if isinstance(event, Picture)]
    seen = [picture.pixels[..., 3] > 128 for picture in pictures]
    first = seen[0]
    turned = [(own & first[:, ::-1]).sum() > (own & first).sum() for own in seen]
    assert any(turned)
    assert not all(turned)


@pytest.mark.parametrize(
    ("prompt", "channel"), [("a red apple", 0), ("a red heart", 0), ("绿心", 1)]
)
def test_no_seed_changes_a_colour_that_is_said(
    engine: TransformerEngine, prompt: str, channel: int
) -> None:
    request = ImageRequest(prompt, n=6, size=Size(64, 64), quality="low", seed=1)
    pictures = [event for event in engine.generate(request) if isinstance(event, Picture)]
    assert {int(_hue(picture.pixels).argmax()) for picture in pictures} == {channel}
    reds = [_hue(picture.pixels) for picture in pictures]
    assert all(hue[channel] > np.delete(hue, channel).max() + 40 for hue in reds)


def test_previews_of_scenes_show_things_as_large_as_they_become(engine: TransformerEngine) -> None:
    request = ImageRequest("two stars", size=SMALL, quality="low", seed=1, previews=3)
    events = list(engine.generate(request))
    first = next(event.pixels for event in events if isinstance(event, Preview))
    [last] = [event.pixels for event in events if isinstance(event, Picture)]
    shares = [(pixels[..., 3] > 128).mean() for pixels in (first, last)]
    assert shares[0] > 0.5 * shares[1]


@pytest.mark.parametrize("prompt", ["a {} heart", "a {} heart and a cat", "a heart in {}"])
@pytest.mark.parametrize(("colour", "rgb"), [("teal", (15, 139, 141)), ("#5b2d8e", (91, 45, 142))])
def test_exact_colours_are_painted(
    engine: TransformerEngine, prompt: str, colour: str, rgb: tuple[int, int, int]
) -> None:
    pixels = _draw(engine, prompt.format(colour)).pixels.astype(int)
    drawn = pixels[pixels[..., 3] > 128][:, :3]
    is_near = np.abs(drawn - rgb).sum(1) < 60
    assert is_near.mean() > 0.25


def test_an_exact_ground_is_painted(engine: TransformerEngine) -> None:
    picture = _draw(engine, "a cat on a mint green background")
    assert np.array_equal(picture.pixels[0, 0], (159, 227, 189, 255))


@pytest.mark.parametrize("prompt", ["a dog with a hat", "戴帽子的狗"])
def test_a_thing_and_what_it_has_with_it_are_two(engine: TransformerEngine, prompt: str) -> None:
    scene = engine.scene(ImageTask(ImageRequest(prompt, size=SMALL, seed=1), 0))
    assert scene is not None
    assert len(scene.layout.things) == 2


@pytest.mark.parametrize(
    ("prompt", "boxes", "told"),
    [
        ("a birthday cake with candles", "", "'candles' is not drawn: nano was taught no such"),
        ("a spaniel", "", "'spaniel' is drawn as 'dog', the nearest name that nano was taught"),
        ("could you draw two spaniels", "", "'spaniels' is drawn as 'dog', the nearest name"),
        ("a knapsack", "", None),
        ("an oil painting of a dog", "", "'oil painting' is not drawn: nano draws illustrations; "),
        ("a cat in the style of Monet", "", "'in the style of Monet' is not drawn: nano draws"),
        ("an oil painting of a cat and a dog", "", "'oil painting' is not drawn: nano draws"),
        ("a drawing of a cat, 3D style", "", None),
        ("a cat, glossy Fluent style", "", None),
        ("a cat, flat style", "", None),
        ("ein roter Apfel", "", "nano was taught no word of the prompt; it reads English and"),
        ("a white siamese cat", "", "'siamese' is not drawn: nano was taught no such picture"),
        ("a sad and lonely robot", "", "'sad' and 'lonely' are not drawn: nano was taught no such"),
        ("a cute little fluffy cat", "", None),
        ("a cat on a cliff", "", "'a cliff' is not drawn: nano was taught no such thing"),
        ("a cat, a dog and a portal", "", "'a portal' is not drawn: nano was taught no such thing"),
        ("a table", "", "nano was taught no name for 'a table': the picture may show something"),
        ("a meadow", "a cat: 5,20,40,60", "The prompt is not drawn: beside boxes it says what is"),
        ("a red apple", "", None),
        ("on a meadow", "a cat: 5,20,40,60", None),
        ("a cat", "a cat: 5,20,40,60", None),
    ],
)
def test_what_is_not_drawn_is_told(
    engine: TransformerEngine, prompt: str, boxes: str, told: str | None
) -> None:
    options = {"boxes": boxes} if boxes else {}
    request = ImageRequest(prompt, size=SMALL, quality="low", seed=1, options=Options(options))
    notices = [event.text for event in engine.generate(request) if isinstance(event, Notice)]
    assert len(notices) == (told is not None)
    assert all(notice.startswith(str(told)) for notice in notices)


@pytest.mark.parametrize(
    ("prompt", "same"),
    [
        ("an oil painting of a dog", "a dog"),
        ("a cat in the style of Monet", "a cat"),
        ("a white siamese cat", "a white cat"),
        ("a lighthouse on a cliff", "a lighthouse"),
        ("a cat in Paris", "a cat"),
        ("a happy corgi puppy sitting and facing forward, studio light", "a puppy"),
        ("an armchair in the shape of an avocado", "an armchair"),
        ("a watercolor painting of a cat and a dog", "a cat and a dog"),
        ("一幅猫的水彩画", "猫"),
    ],
)
def test_what_is_left_out_changes_nothing_in_the_picture(
    engine: TransformerEngine, prompt: str, same: str
) -> None:
    assert np.array_equal(_draw(engine, prompt).pixels, _draw(engine, same).pixels)


def test_an_edit_draws_its_prompt_as_it_is(engine: TransformerEngine) -> None:
    source = Edit(np.zeros((256, 256, 4), np.uint8))
    prompt = "a birthday cake with candles"
    request = ImageRequest(prompt, size=SMALL, quality="low", seed=1, source=source)
    notices = [event.text for event in engine.generate(request) if isinstance(event, Notice)]
    assert notices == [
        "No mask was given: what is transparent in the picture was drawn, the rest kept"
    ]


def test_what_is_left_out_changes_nothing(engine: TransformerEngine) -> None:
    prompt = "a birthday cake with candles"
    drawn, plain = (_draw(engine, words).pixels for words in (prompt, "a birthday cake"))
    assert np.array_equal(drawn, plain)


@pytest.mark.parametrize(("quality", "is_restored"), [("low", False), ("medium", True)])
def test_a_scene_in_low_quality_is_drawn_without_the_restorer(
    engine: TransformerEngine, quality: str, is_restored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = _draw(engine, "a cat and a dog", quality=quality).pixels
    monkeypatch.setattr(
        "limner.engines.transformer.pixels.postprocess.has_restorer", lambda backend: False
    )
    without = _draw(engine, "a cat and a dog", quality=quality).pixels
    assert np.array_equal(drawn, without) != is_restored


@pytest.mark.parametrize("quality", ["low", "medium"])
def test_a_small_picture_of_a_scene_is_as_solid_as_a_large_one(
    engine: TransformerEngine, quality: str
) -> None:
    sizes = Size(64, 64), Size(512, 512)
    solid = [
        (_draw(engine, "five red apples", size=size, quality=quality).pixels[..., 3] > 250).mean()
        for size in sizes
    ]
    assert 0.8 * solid[1] < solid[0] < solid[1]
