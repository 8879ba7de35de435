"""The model of a request, and the rules of its generation.

Three eras answer at one URL. A request that names no model is of the first, DALL·E 2, unless it
uses a word that only the GPT image models know. Every published name is drawn by the engine of
this server, or by the model that it is an alias of; the name decides the rules, not the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from limner.engines.capabilities import Capabilities
from limner.request import Quality, SizeRule
from limner.server.openai import fields as f
from limner.server.openai.errors import USER, ApiError
from limner.server.openai.fields import Fields

Profile = Literal["gpt", "dalle3", "dalle2"]
Container = Literal["url", "b64_json"]  # of a picture in an answer

PUBLISHED = (
    "dall-e-2",
    "dall-e-3",
    "gpt-image-1",
    "gpt-image-1-mini",
    "gpt-image-1.5",
    "gpt-image-2",
    "gpt-image-2-2026-04-21",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.5-sunburst-2026-09-08",
    "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08",
    "gpt-image-2.6-sunburst",
    "gpt-image-2.6-flare",
    "chatgpt-image-latest",
)
_FIRST_GPT = ("gpt-image-1", "chatgpt-image-latest")  # and names that start with the first one
_GPT_PREFIXES = ("gpt-image-", "chatgpt-image-")

MAX_PROMPT_CHARS: dict[Profile, int] = {"gpt": 32_000, "dalle3": 4_000, "dalle2": 1_000}

QUALITIES: dict[Profile, tuple[str, ...]] = {
    "gpt": ("low", "medium", "high", "auto"),
    "dalle3": ("standard", "hd"),
    "dalle2": ("standard", "hd"),
}
# The values of all generations are accepted for all models.
QUALITY: dict[str, Quality] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
    "auto": "medium",
    "standard": "medium",
    "hd": "high",
}

# Parameters and values that only the GPT image models have.
_GPT_NAMES = (
    "background",
    "moderation",
    "output_format",
    "output_compression",
    "input_fidelity",
    "safety_identifier",
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "svg",
    "markup",
)
_GPT_QUALITIES = ("low", "medium", "high", "xhigh", "max", "auto")


@dataclass(frozen=True)
class Target:
    """The model that answers a request, and its rules."""

    profile: Profile
    engine: str
    model: str | None  # as named in the request
    own: bool = False  # one of this server's own names: no limits but the engine's
    container: Container = "url"  # default if the request has no response_format
    capabilities: Capabilities = field(default=Capabilities())  # of the engine

    @property
    def sizes(self) -> SizeRule:
        """The sizes that the engine supports."""
        return self.capabilities.sizes

    @property
    def is_gpt(self) -> bool:
        """Whether the rules of the GPT image models apply."""
        return self.profile == "gpt"

    @property
    def is_dalle(self) -> bool:
        """Whether it is a DALL·E name or none."""
        return not (self.own or self.is_gpt)

    @property
    def is_newer_gpt(self) -> bool:
        """Whether it is a GPT image model after the first; these accept any size."""
        return self.is_gpt and self.model is not None and not self.model.startswith(_FIRST_GPT)

    @property
    def max_prompt_chars(self) -> int:
        """The maximum length of a prompt."""
        return MAX_PROMPT_CHARS["gpt" if self.own else self.profile]


@dataclass(frozen=True)
class Catalogue:
    """The accepted model names: published ones, and the server's own with their engines."""

    default_engine: str
    own: Mapping[str, str]  # model id → engine
    is_lenient: bool = False  # unknown values are ignored, with a notice
    own_container: Container = "url"  # for its own names, and for requests without a model
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)  # of each engine
    published: Mapping[str, str] = field(default_factory=dict)  # name → engine, not the default one

    def ids(self) -> list[str]:
        """Every id, its own first."""
        return [*self.own, *(name for name in PUBLISHED if name not in self.own)]

    def target(self, fields: Fields, *, is_gpt: bool = False) -> Target:
        """The target of a request. Raises ApiError for an unknown model.

        `is_gpt`: the request has something outside `fields` that only GPT image models accept.
        """
        target = self._named(fields, is_gpt=is_gpt)
        able = self.capabilities.get(target.engine)
        return replace(target, capabilities=able) if able else target

    def _named(self, fields: Fields, *, is_gpt: bool) -> Target:
        asked = (fields.text("model") or "").strip()
        if not asked:  # absent, null or empty
            if is_gpt or _has_gpt_signal(fields):
                return Target("gpt", self.default_engine, None, container="b64_json")
            return Target("dalle2", self.default_engine, None, container=self.own_container)
        found = self._find(asked)
        if found is None and fields.is_lenient:
            found = self._default
            fields.notice(f"There is no model '{f.shown(asked)}'; {found} drew the pictures")
        if found is None:
            raise ApiError(
                f"The model '{f.shown(asked)}' does not exist. This server has: "
                f"{', '.join(self.ids())}.",
                type=USER,
                param="model",
                code="invalid_value",
            )
        if found in self.own:
            engine = self.own[found]
            return Target("dalle2", engine, found, own=True, container=self.own_container)
        engine = self.published.get(found, self.default_engine)
        if found.startswith(_GPT_PREFIXES):
            return Target("gpt", engine, found, container="b64_json")
        profile: Profile = "dalle3" if found == "dall-e-3" else "dalle2"
        return Target(profile, engine, found)

    @property
    def _default(self) -> str:
        """This server's own name of the default engine."""
        return next(name for name, engine in self.own.items() if engine == self.default_engine)

    def _find(self, asked: str) -> str | None:
        """The id that matches `asked` exactly, ignoring case, or without a provider's prefix."""
        names = {name.lower(): name for name in reversed(self.ids())}
        for name in (asked.lower(), asked.lower().rpartition("/")[2]):
            if name in names:
                return names[name]
            if name == "default":
                return self._default
            if name.startswith(_GPT_PREFIXES):
                return name
        return None


def is_published(name: str) -> bool:
    """Whether clients know `name` as one of OpenAI's, with its rules."""
    return name in PUBLISHED or name.startswith(_GPT_PREFIXES)


def _has_gpt_signal(fields: Fields) -> bool:
    values = fields.values
    return (
        any(fields.given(name) for name in _GPT_NAMES)
        or values.get("stream") in (True, "true", "True", "1")
        or values.get("partial_images") not in (None, 0, "0")
        or values.get("quality") in _GPT_QUALITIES
        or values.get("size") in ("auto", "1536x1024", "1024x1536")
    )


def read_quality(fields: Fields, target: Target) -> Quality:
    """The quality, from a value of any generation of models."""
    advertised = tuple(QUALITY) if target.own else QUALITIES[target.profile]
    word = fields.choice("quality", advertised, also=tuple(QUALITY))
    return QUALITY[word] if word else "medium"
