"""Prompts as the network reads them: what they name, in a style, as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from limner.arrays import Ints
from limner.engines.base import ImageTask
from limner.engines.transformer.backend import Backend, has_planner, max_text
from limner.engines.transformer.pixels.adjustment import UNCHANGED, Adjustment, adjustment_by_seed
from limner.engines.transformer.prompt_words import (
    Colour,
    Said,
    changes_picture,
    drawn_wider,
    is_foreign,
    left_out,
    named_alone,
    one_with_name,
    painted,
    said_of_one,
    said_of_two,
    unknown_names,
    with_whole_names,
    without_colour,
)
from limner.options import shown
from limner.planning import plan
from limner.planning.lists import read_list
from limner.request import ImageRequest
from limner.text.flipping import may_turn
from limner.text.known_names import TaughtNames, TaughtThings
from limner.text.mediums import without_medium, without_style
from limner.text.modifiers import without_modifiers
from limner.text.own_colours import own_colours
from limner.text.rewording import reworded
from limner.text.shades import in_basic_colours
from limner.text.styles import (
    OUTLINED,
    Style,
    chosen,
    look_of,
    looks,
    named,
    with_style,
    without_look,
)
from limner.text.synonyms import as_taught, has_drawable_name
from limner.text.text_tokenizer import NULL
from limner.text.wording import split_colour

_TEXT_STEP = 16  # texts are padded to a multiple of it, so that those of about a length share
_MAX_TEXTS = 256  # kept in the cache, as tokens and encoded


@dataclass(frozen=True)
class _Plain:
    """A prompt as captions say it, and what it says otherwise."""

    words: str
    medium: str  # or style
    exact: dict[str, Colour]  # by basic colours in the words, what the prompt says in their place
    modifiers: tuple[str, ...] = ()


class Prompts:
    """Reads prompts with the tokenizer and the styles of the weights."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._max_text = backend, max_text(backend)
        self.styles = [
            Style(**{**style, "words": tuple(style["words"])})
            for style in backend.config.get("styles", ())
        ]
        self._known = TaughtNames()
        self._is_flat = backend.config.get("art") == "flat"
        # Captions of the user's own pictures have no such styles, and words of their own.
        self._is_taught_names = self._is_flat and bool(self.styles)
        self._kept = frozenset(
            part for style in self.styles for word in style.words for part in word.split()
        )
        self._can_plan = has_planner(backend)
        self._text = lru_cache(_MAX_TEXTS)(self._read)
        self.reading = lru_cache(_MAX_TEXTS)(self._reading)
        self._plainly = lru_cache(_MAX_TEXTS)(self._read_plainly)
        self.together = lru_cache(_MAX_TEXTS)(self._together)
        self.nothing: Ints = np.array([[NULL]])  # the text of any picture, (1, 1)

    def tokens(self, one: ImageTask) -> Ints:
        """What is drawn, (1, T), without a colour that is painted; T depends on it alone."""
        if not one.request.prompt:
            return self.nothing
        said = self.said(one.request)
        return self._text(self.in_style(said.plain or said.words, one))[0]

    def told_colour(self, one: ImageTask) -> Ints:
        """The same with its colour, for what takes no paint."""
        return self._text(self.in_style(self.said(one.request).words, one))[0]

    def adjustment(self, one: ImageTask) -> Adjustment:
        """What a seed does to flat art from text, and the colour that is painted on it."""
        request = one.request
        if request.source is not None or not self._is_flat:
            return UNCHANGED
        said = self.said(request)
        return adjustment_by_seed(
            one.seed,
            one.index,
            may_turn=may_turn(request.prompt),
            asked=said.colour,
            exact=self.exact_colours(request.prompt).get(said.colour or ""),
            own=own_colours(said.name),
        )

    def said(self, request: ImageRequest) -> Said:
        """What is drawn of a request that is no scene; of an edit it is the whole prompt."""
        prompt = self.as_captions_say(request.prompt)
        if request.source is not None:
            return Said(prompt)
        reading = self.reading(request.prompt)
        said = said_of_one(prompt, reading, self._known if self._is_flat else None)
        if said.ground is not None:
            said = replace(said, ground=self.ground(request.prompt))
        return replace(said, colour=said.colour or self._exact_of(said.words, request.prompt))

    def as_captions_say(self, prompt: str) -> str:
        """A prompt in the words of captions; of weights with captions of others, as it is."""
        return self._plainly(prompt).words if self._is_flat else prompt

    def exact_colours(self, prompt: str) -> dict[str, Colour]:
        """The colours that a prompt names, by the basic ones in their place; see `shades`."""
        return self._plainly(prompt).exact if self._is_flat else {}

    def ground(self, prompt: str) -> Colour | None:
        """The colour of a prompt's ground; see `painted`."""
        return painted(self.reading(prompt).ground, self.exact_colours(prompt))

    def _read_plainly(self, prompt: str) -> _Plain:
        said, medium = without_medium(prompt)
        said, exact = in_basic_colours(said)
        said = reworded(said)
        if named(prompt, self.styles) is None:
            said, style = without_style(said)
            medium = medium or ("" if look_of(style) else style)
        if not self._is_taught_names:
            return _Plain(said, medium, exact)
        said, modifiers = without_modifiers(said, self._kept)
        return _Plain(said, medium, exact, tuple(modifiers))

    def in_style(self, words: str, one: ImageTask) -> str:
        """`words` with the style of a picture, which its seed draws if its prompt names none."""
        if self.is_outlined(one.request):
            words = without_look(words)
        return with_style(words, self._style(one), self.styles)

    def as_taught(self, phrase: str) -> str:
        """The words for a thing of a scene, with a name that the weights were taught."""
        return as_taught(phrase) if self._is_flat else phrase

    def without_colour(self, phrase: str, prompt: str) -> tuple[str | None, str]:
        """The colour that a thing of a prompt's scene is painted in, and what is then drawn."""
        colour, words = without_colour(phrase, self._known) if self._is_flat else (None, phrase)
        return colour or self._exact_of(words, prompt), words

    def _exact_of(self, words: str, prompt: str) -> str | None:
        """The basic colour of a thing known with it ("a red heart"), if another one is meant."""
        split = split_colour(words)
        return split[0] if split and split[0] in self.exact_colours(prompt) else None

    def style_of(self, one: ImageTask, words: str) -> str:
        """What to say after a thing's words, so that it has the style of the whole prompt."""
        if self.is_outlined(one.request):
            return OUTLINED
        style = self._style(one)
        return "" if style is None else style.said_in(words)

    def _style(self, one: ImageTask) -> Style | None:
        prompt, styles = one.request.prompt, self.styles
        if self.is_outlined(one.request):
            prompt = without_look(prompt)
        return chosen(prompt, styles, one.seed, one.index)

    def is_outlined(self, request: ImageRequest) -> bool:
        """Whether a picture from text gets its outlines from the finish."""
        return (
            self._is_flat
            and request.source is None
            and look_of(request.prompt) == OUTLINED
            and named(request.prompt, self.styles) is None
        )

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, before any cut."""
        return len(self._backend.text_tokenizer.encode(text))

    def remark(self, request: ImageRequest) -> str:
        """What to say of words that are not read or not drawn; "" if all are."""
        name, prompt = self._backend.config["name"], self.as_captions_say(request.prompt)
        if n_cut := self._text(prompt)[1]:
            return (
                f"The prompt is longer than the {self._max_text - 1} tokens that {name} reads; "
                f"its last {n_cut} were not read"
            )
        if self._is_flat and is_foreign(prompt):
            return f"{name} was taught no word of the prompt; it reads English and Chinese"
        plain = self._plainly(request.prompt)
        if self._is_flat and (left := plain.medium):
            known = ", ".join([*looks(), *(style.en for style in self.styles)])
            return (
                f"{shown(left)} is not drawn: {name} draws illustrations; "
                f"the styles that it knows are {known}"
            )
        is_read = self._is_flat and request.source is None  # an edit draws its prompt as it is
        reading = self.reading(request.prompt)
        if is_read and reading.unknown:
            return f"{_listed(reading.unknown)} not drawn: {name} was taught no such thing"
        if is_read and self._is_taught_names and (things := unknown_names(prompt, reading)):
            said = " or ".join(map(shown, things))
            return f"{name} was taught no name for {said}: the picture may show something else"
        if is_read and (left := left_out(prompt, reading)):
            return f"{shown(left)} is not drawn: {name} was taught no such picture"
        if is_read and (found := drawn_wider(prompt, reading)):
            asked, drawn = map(shown, found)
            return f"{asked} is drawn as {drawn}, the nearest name that {name} was taught"
        if is_read and (words := [word for word in plain.modifiers if changes_picture(word)]):
            return f"{_listed(words)} not drawn: {name} was taught no such picture"
        return ""

    def _reading(self, prompt: str) -> plan.Reading:
        """What a prompt says; nothing if the weights have no planner."""
        if not self._can_plan:
            return plan.Reading()
        prompt = self.as_captions_say(prompt)
        if self._is_flat and (alone := named_alone(prompt)):
            return alone
        said = one_with_name(self._planned(prompt)) if self._is_flat else self._planned(prompt)
        if self._is_taught_names:
            said = plan.without_unknown(with_whole_names(prompt, said), has_drawable_name)
        listed = read_list(prompt, self._planned, TaughtThings())
        if listed is not None and len(listed.things) > len(said.things):
            return listed
        return said_of_two(prompt, said) if self._is_flat else said

    def _planned(self, prompt: str) -> plan.Reading:
        return plan.read([prompt], self._backend.text_tokenizer, self._backend.score_plan)[0]

    def _read(self, prompt: str) -> tuple[Ints, int]:
        """Tokens (1, T), and how many more there were."""
        tokens, cut = self._backend.text_tokenizer.encode_padded([prompt], self._max_text)
        return _cut(tokens), int(cut[0])

    def _together(self, texts: tuple[str, ...]) -> Ints:
        """Several texts as they are, (N, T) with T by the longest."""
        return _cut(self._backend.text_tokenizer.encode_padded(list(texts), self._max_text)[0])


def _listed(words: Sequence[str]) -> str:
    """Words with their verb: "'a' is", "'a' and 'b' are"."""
    return f"{' and '.join(map(shown, words))} {'is' if len(words) == 1 else 'are'}"


def _cut(tokens: Ints) -> Ints:
    """Padded texts (R, T), with no more padding than those of about a length get."""
    longest = int((tokens != 0).sum(1).max())
    return tokens[:, : -(-longest // _TEXT_STEP) * _TEXT_STEP]


def no_prompt(tokens: Ints) -> Ints:
    """Texts (R, T) that say nothing, beside texts of the same shape for guidance."""
    nothing = np.zeros_like(tokens)
    nothing[:, 0] = NULL
    return nothing
