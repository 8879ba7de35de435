"""How each kind of image service is asked, and how it answers: `base` has the protocol."""

from limner.engines.upstream.dialects.base import Dialect
from limner.engines.upstream.dialects.limner import Limner
from limner.engines.upstream.dialects.openai import OpenAI
from limner.engines.upstream.dialects.sdapi import SdApi
from limner.engines.upstream.dialects.sdcpp import SdCpp
from limner.engines.upstream.dialects.vllm_omni import VllmOmni

DIALECTS: dict[str, type[Dialect]] = {
    "openai": OpenAI,
    "limner": Limner,
    "vllm-omni": VllmOmni,
    "sdcpp": SdCpp,
    "sdapi": SdApi,
}
