"""Every exported graph is its torch module, and the files hold each weight once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.engines.transformer.backends.weights_folder import TURNED
from limner.engines.transformer.export.folder import export
from limner.engines.transformer.export.graphs import graphs
from limner.errors import OutputError
from limner.model.bundle import Bundle
from limner.sampling.decoding import draw_codes, last
from limner.sampling.sampling import SamplingConfig, uniforms
from limner.storage.checkpoints import weights
from tests.support import tiny

NAMES = ["text", "step", "code1", "image", "pixels", "codes", "upscale1", "upscale2"]


@pytest.fixture(scope="module")
def network(tiny_weights: Path) -> OnnxBackend:
    return OnnxBackend(tiny_weights, threads=1)


@pytest.fixture(scope="module")
def bundle(tiny_weights: Path) -> Bundle:
    return tiny.read(tiny_weights)


def inputs(name: str, bundle: Bundle, sizes: dict[str, int]) -> dict[str, Tensor]:
    """Random inputs of a graph whose varying dimensions have other sizes than at the export."""
    generator = torch.Generator().manual_seed(3)
    config = bundle.config.transformer
    graph = graphs(bundle)[name]
    found = {}
    for key, example in graph.inputs.items():
        shape = list(example.shape)
        for axis, dim in graph.varying[key].items():
            shape[axis] = sizes[dim]
        if example.dtype == torch.bool:
            found[key] = torch.rand(shape, generator=generator) < 0.7
            found[key][..., 0] = True
        elif example.dtype == torch.long:
            high = {"text": config.n_vocab, "places": 16, "known_places": 17}.get(key, 1000)
            found[key] = torch.randint(1, high, shape, generator=generator)
        else:
            found[key] = torch.rand(shape, generator=generator)
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "sizes",
    [
        {"rows": 3, "text": 7, "past": 4, "now": 2, "filled": 6, "asked": 5, "n": 3},
        {"rows": 1, "text": 1, "past": 0, "now": 1, "filled": 1, "asked": 1, "n": 1},
    ],
    ids=["several", "one"],
)
def test_graph_equals_its_module(
    network: OnnxBackend, bundle: Bundle, name: str, sizes: dict[str, int]
) -> None:
    sizes = {**sizes, "height": 32, "width": 32 if sizes["n"] == 3 else 20}
    given: dict[str, Any] = inputs(name, bundle, sizes)
    with torch.no_grad():
        expected = graphs(bundle)[name].module(**given)
    expected = expected if isinstance(expected, tuple) else (expected,)
    arrays: dict[str, Any] = {key: value.numpy() for key, value in given.items()}
    got = network.run(name, **arrays)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.shape == tuple(other.shape)
        assert np.abs(one.astype(np.float64) - other.double().numpy()).max() < 1e-4
        if one.size > 1 and one.dtype == np.float32:
            assert one.std() > 1e-3  # nothing degenerate was compared


def test_weights_for_squares_draw_no_layouts(network: OnnxBackend) -> None:
    assert network.layouts is None


def test_those_are_all_graphs(tiny_weights: Path, bundle: Bundle) -> None:
    assert sorted(graphs(bundle)) == sorted(NAMES)
    files = {path.stem for path in tiny_weights.glob("*.onnx")}
    assert files == set(NAMES)


@pytest.mark.parametrize("n_steps", [16, 5])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_both_draw_the_same_codes(
    network: OnnxBackend, bundle: Bundle, n_steps: int, temperature: float
) -> None:
    config = SamplingConfig(
        n_steps=n_steps, temperature=temperature, detail_temperature=temperature
    )
    prompts, _ = network.text_tokenizer.encode_padded(["a red apple", "蓝色的五角星"], 24)
    nothing = np.zeros_like(prompts)
    nothing[:, 0] = 2
    numbers = np.stack([uniforms(7, index, 0, 16, 2) for index in range(2)])
    one, other = (
        last(draw_codes(either, prompts, nothing, numbers, config))
        for either in (network, TorchNetwork(bundle.transformer))
    )
    assert np.array_equal(one, other)
    assert len(np.unique(one)) > 10


def test_both_have_one_shape(network: OnnxBackend, bundle: Bundle) -> None:
    one, other = network.shape, TorchNetwork(bundle.transformer).shape
    assert (one.grid, one.n_codes, one.n_groups, one.cache) == (
        other.grid,
        other.n_codes,
        other.n_groups,
        other.cache,
    )
    assert [table is None for table in one.tables] == [False, True]
    assert np.array_equal(one.tables[0], other.tables[0])  # type: ignore[arg-type]


def test_pixels_are_within_a_level(network: OnnxBackend, bundle: Bundle) -> None:
    codes = np.random.default_rng(0).integers(0, 1000, (2, 16, 2))
    drawn = network.pixels(codes)
    with torch.no_grad():
        expected = bundle.image_tokenizer.decode(torch.from_numpy(codes)).clamp(0, 1)
        for n_passes in range(3):
            difference = np.abs(network.enlarged(drawn, n_passes) - expected.numpy()).max()
            assert difference < 1 / 255
            if n_passes < 2:
                expected = bundle.upscalers[n_passes](expected).clamp(0, 1)


def test_each_weight_is_stored_once_and_in_no_graph(tiny_weights: Path, bundle: Bundle) -> None:
    checkpoint = weights.read(tiny_weights)
    stored = [
        name
        for part in sorted(checkpoint.entries)
        if part.startswith("weights-")
        for name in checkpoint.tensors(part.removesuffix(".safetensors"))
    ]
    assert len(stored) == len(set(stored))
    assert {name for name in stored if not name.endswith(".scale")} == set(bundle.state_dict())
    largest = 0
    for name in NAMES:
        model = onnx.load_model_from_string((tiny_weights / f"{name}.onnx").read_bytes())
        wanted = checkpoint.config["graphs"][name]
        assert {want.removesuffix(TURNED) for want in wanted} <= set(bundle.state_dict())
        for tensor in model.graph.initializer:
            outside = tensor.data_location == onnx.TensorProto.EXTERNAL
            assert outside == (tensor.name in wanted)
            assert not (outside and tensor.raw_data)
            largest = max(largest, len(tensor.raw_data))
    assert largest <= 4096  # rotary angles and the like


def test_a_folder_that_cannot_be_written_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.engines.transformer.export.folder.graphs", lambda bundle: {})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Cannot write"):
        export(tiny.bundle(), tiny.text_tokenizer(), tmp_path / "file" / "here", {"name": "x"})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("folder", ["tiny", "nano"])
def test_no_graph_loops_over_its_elements(folder: str, tiny_weights: Path) -> None:
    path = tiny_weights if folder == "tiny" else weights.find(folder)
    for name in weights.read(path).config["graphs"]:
        model = onnx.load_model_from_string((path / f"{name}.onnx").read_bytes())
        assert not {node.op_type for node in model.graph.node} & {"Loop", "Scan", "If"}, name


def test_config_tells_how_to_build_it_again(tiny_weights: Path, bundle: Bundle) -> None:
    config = json.loads((tiny_weights / "config.json").read_text())
    assert config["name"] == tiny.NAME
    assert config["kind"] == "limner-onnx"
    assert bundle.config == tiny.config(tiny.text_tokenizer().n_vocab)
