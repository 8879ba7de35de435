"""The label policy from the settings, with a signer if a certificate is set."""

from __future__ import annotations

from typing import cast

from limner.errors import SettingsError
from limner.imaging.provenance.c2pa_signature import Signer
from limner.imaging.provenance.label import LabelPolicy, Level, Sign
from limner.settings import Settings


def policy_of(settings: Settings) -> LabelPolicy:
    """The label policy of `settings`. Raises SettingsError for a bad certificate."""
    sign: Sign | None = None
    if settings.c2pa_cert:
        if settings.label == "off":
            raise SettingsError(
                "LIMNER_C2PA_CERT is set and LIMNER_LABEL is off: a signed manifest is a label",
                hint="set LIMNER_LABEL=label, or leave the certificate out",
            )
        sign = Signer.load(settings.c2pa_cert, settings.c2pa_key)
    elif settings.c2pa_key:
        raise SettingsError(
            "LIMNER_C2PA_KEY is set, and LIMNER_C2PA_CERT is not",
            hint="a signature takes both",
        )
    return LabelPolicy(cast("Level", settings.label), settings.producer, sign)
