"""From a folder of a Stable Diffusion pipeline of diffusers to a folder of OpenVINO IR, once.

PyTorch runs each network once, OpenVINO records what it does (`openvino.convert_model`), and
weights are kept in 16 bits. Names of inputs and outputs are those that OpenVINO GenAI asks for.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import openvino
import torch
from openvino_tokenizers import convert_tokenizer
from torch import Tensor, nn

from limner.errors import DataError, OutputError
from limner.storage import files

log = logging.getLogger("limner.engines")

INDEX = "model_index.json"
_KNOWN = "StableDiffusionPipeline"
_ANY = -1  # a side that is not fixed
_PX = 64  # side of the picture that PyTorch draws while it is recorded

Shape = Sequence[int]


class _Recorded(nn.Module):
    """A network whose inputs and outputs are tensors in a fixed order."""

    def __init__(self, network: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, *given: Tensor) -> Any:
        """Whatever `call` does with the network."""
        return self.call(self.network, *given)


def convert(source: Path, folder: Path) -> None:
    """Write the pipeline in `source` as the folder `folder`, whole or not at all.

    Raises DataError for a pipeline of another class or one that diffusers cannot load, OutputError
    if `folder` exists or cannot be written.
    """
    _check_class(source)
    if folder.exists():
        raise OutputError(f"{folder} exists", hint="choose another name, or remove it")
    try:
        pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
            source, local_files_only=True, use_safetensors=True, safety_checker=None
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        words = " ".join(str(error).split())[:300]
        raise DataError(
            f"diffusers cannot load {source}: {words}",
            hint="copy or download the folder again; weights must be safetensors",
        ) from error
    temporary = files.temporary_beside(folder)
    try:
        with files.wrap_os_errors(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about sides that are checked
            temporary.mkdir(parents=True)
            _write(pipeline, source, temporary)
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_class(source: Path) -> None:
    try:
        name = json.loads((source / INDEX).read_bytes()).get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"{source / INDEX} cannot be read: {error}", hint="copy or download the folder again"
        ) from error
    if name != _KNOWN:
        raise DataError(
            f"{source} is a {name}; limner converts {_KNOWN} alone (SD 1 and 2, SD-Turbo, SDXS)",
            hint="`optimum-cli export openvino`, in an environment of its own, converts others; "
            "or draw with the engine diffusion",
        )


def _write(pipeline: Any, source: Path, folder: Path) -> None:
    n_text, d = pipeline.tokenizer.model_max_length, pipeline.unet.config.cross_attention_dim
    n_latents, side = pipeline.unet.config.in_channels, _PX // pipeline.vae_scale_factor
    latents = torch.zeros(1, n_latents, side, side)
    _network(
        folder / "text_encoder",
        _Recorded(pipeline.text_encoder, _text),
        {"input_ids": torch.ones(1, n_text, dtype=torch.long)},
        {"input_ids": (_ANY, _ANY)},
        ("last_hidden_state", "pooler_output"),
    )
    _network(
        folder / "unet",
        _Recorded(pipeline.unet, _denoised),
        {
            "sample": latents.repeat(2, 1, 1, 1),
            "timestep": torch.tensor([1]),
            "encoder_hidden_states": torch.zeros(2, n_text, d),
        },
        {
            "sample": (_ANY, n_latents, _ANY, _ANY),
            "timestep": (_ANY,),
            "encoder_hidden_states": (_ANY, _ANY, d),
        },
        ("out_sample",),
    )
    _network(
        folder / "vae_decoder",
        _Recorded(pipeline.vae, _decoded),
        {"latent_sample": latents},
        {"latent_sample": (_ANY, n_latents, _ANY, _ANY)},
        ("sample",),
    )
    _network(
        folder / "vae_encoder",
        _Recorded(pipeline.vae, _encoded),
        {"sample": torch.zeros(1, 3, _PX, _PX)},
        {"sample": (_ANY, 3, _ANY, _ANY)},
        ("latent_parameters",),
    )
    _write_parts(pipeline, source, folder)


def _write_parts(pipeline: Any, source: Path, folder: Path) -> None:
    """The tokenizer, the scheduler and the configs, which are no networks."""
    tokenizer = convert_tokenizer(pipeline.tokenizer, with_detokenizer=False)
    openvino.save_model(tokenizer, folder / "tokenizer" / "openvino_tokenizer.xml")
    pipeline.tokenizer.save_pretrained(folder / "tokenizer")
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    for part, name in {
        "text_encoder": "text_encoder",
        "unet": "unet",
        "vae": "vae_decoder",
    }.items():
        shutil.copy(source / part / "config.json", folder / name / "config.json")
    shutil.copy(source / "vae" / "config.json", folder / "vae_encoder" / "config.json")
    shutil.copy(source / INDEX, folder / INDEX)


def _network(
    folder: Path,
    network: nn.Module,
    example: Mapping[str, Tensor],
    shapes: Mapping[str, Shape],
    outputs: Sequence[str],
) -> None:
    """Record a network on `example`, give its inputs `shapes`, and write it into `folder`."""
    log.info("converting %s", folder.name)
    with torch.no_grad():
        model = openvino.convert_model(
            network.eval(),
            example_input=tuple(example.values()),
            input=[openvino.PartialShape(list(shapes[name])) for name in example],
        )
    for port, name in zip(model.inputs, example, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, outputs, strict=True):
        port.get_tensor().set_names({name})
    model.validate_nodes_and_infer_types()
    folder.mkdir()
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=True)


def _text(network: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    told = network(input_ids=tokens, return_dict=True)
    return told.last_hidden_state, told.pooler_output


def _denoised(network: Any, sample: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
    found: Tensor = network(sample, timestep, text, return_dict=False)[0]
    return found


def _decoded(network: Any, latents: Tensor) -> Tensor:
    found: Tensor = network.decode(latents, return_dict=False)[0]
    return found


def _encoded(network: Any, pixels: Tensor) -> Tensor:
    found: Tensor = network.encode(pixels, return_dict=True).latent_dist.parameters
    return found
