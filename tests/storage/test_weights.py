"""A checkpoint comes back as it was written, or is refused by the name of the bad file."""

import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from limner.errors import OutputError, WeightsError
from limner.storage.checkpoints import weights

DTYPES = ["float32", "float16", "float64", "int8", "uint8", "int32", "int64", "uint16", "bool"]
ARRAYS = hnp.arrays(
    st.sampled_from(DTYPES).map(np.dtype), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)
)


def _write(path: Path, step: int = 1, **more: Any) -> weights.Checkpoint:
    tensors = {"network": {"scale": np.full((50, 4), step, np.float32)}}
    return weights.write(
        path,
        {"kind": "test", "step": step},
        tensors=tensors,
        contents={"words.txt": b"fox\n"},
        **more,
    )


def _assert_whole(path: Path, step: int) -> None:
    checkpoint = weights.read(path)
    assert checkpoint.config["step"] == step
    assert (checkpoint.tensors("network")["scale"] == step).all()


def test_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = _write(tmp_path / "runs" / "one")
    read = weights.read(tmp_path / "runs" / "one")
    assert read == written
    assert read.config == {"kind": "test", "step": 1, "format": 1}
    assert read.kind == "test"
    assert read.file("words.txt").read_bytes() == b"fox\n"
    assert read.tensors("network")["scale"].dtype == np.float32
    sizes = [path.stat().st_size for path in read.path.iterdir() if path.name != "manifest.json"]
    assert read.n_bytes == sum(sizes)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["one"]


@settings(max_examples=30)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), ARRAYS, max_size=3))
def test_any_arrays_come_back_with_shape_type_and_values(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, NDArray[Any]]
) -> None:
    arrays.pop("__metadata__", None)  # the one name that the file format keeps for itself
    path = tmp_path_factory.mktemp("weights") / "one"
    weights.write(path, {"kind": "test"}, tensors={"all": arrays})
    back = weights.read(path).tensors("all")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == array.tobytes()


def test_views_are_stored_by_their_values(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {"turned": array.T, "every other": array[:, ::2], "swapped": array.astype(">f4")}
    back = weights.write(tmp_path / "one", {"kind": "test"}, tensors={"v": views}).tensors("v")
    for name, view in views.items():
        assert np.array_equal(back[name], view)


def test_existing_checkpoint_is_kept_unless_replaced(tmp_path: Path) -> None:
    _write(tmp_path / "one")
    with pytest.raises(OutputError, match="exists"):
        _write(tmp_path / "one", step=2)
    _assert_whole(tmp_path / "one", step=1)
    _write(tmp_path / "one", step=2, replace=True)
    _assert_whole(tmp_path / "one", step=2)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("name", ["manifest.json", "../x", "a/b", "", ".hidden", "a\n"])
def test_file_names_stay_inside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        weights.write(tmp_path / "one", {"kind": "test"}, contents={name: b""})
    assert list(tmp_path.iterdir()) == []


def test_kind_is_required(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind"):
        weights.write(tmp_path / "one", {})


# --- damage ---


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> weights.Checkpoint:
    return _write(tmp_path_factory.mktemp("weights") / "intact")


@settings(max_examples=30)
@given(place=st.floats(0, 1), change=st.integers(1, 255))
@pytest.mark.parametrize(
    "name", ["config.json", "network.safetensors", "words.txt", "manifest.json"]
)
def test_one_wrong_byte_is_found_and_the_file_named(
    intact: weights.Checkpoint, name: str, place: float, change: int
) -> None:
    path = intact.path.parent / "damaged"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(intact.path, path)
    data = bytearray((path / name).read_bytes())
    data[round(place * (len(data) - 1))] ^= change
    (path / name).write_bytes(data)
    if name == "manifest.json":
        # A changed space or an equal number written otherwise may leave its meaning as it was.
        try:
            assert weights.read(path).entries == intact.entries
        except WeightsError as error:
            message = error.message
        else:
            return
        assert str(path) in message
    else:
        with pytest.raises(WeightsError, match=name):
            weights.read(path)


@pytest.mark.parametrize(
    "name", ["config.json", "network.safetensors", "words.txt", "manifest.json"]
)
def test_missing_or_cut_file_is_named(tmp_path: Path, name: str) -> None:
    _write(tmp_path / "one")
    file = tmp_path / "one" / name
    data = file.read_bytes()
    file.write_bytes(data[:-3])
    with pytest.raises(WeightsError, match=f"{name} is damaged"):
        weights.read(tmp_path / "one")
    file.unlink()
    with pytest.raises(WeightsError, match=f"{name} is missing"):
        weights.read(tmp_path / "one")


def test_without_verifying_damage_is_found_when_used(tmp_path: Path) -> None:
    _write(tmp_path / "one")
    (tmp_path / "one" / "network.safetensors").write_bytes(b"\xff" * 100)
    checkpoint = weights.read(tmp_path / "one", verify=False)
    with pytest.raises(WeightsError, match=r"network\.safetensors is damaged"):
        checkpoint.tensors("network")
    with pytest.raises(WeightsError, match="has no file decoder") as caught:
        checkpoint.tensors("decoder")
    assert caught.value.hint == "it has config.json, network.safetensors, words.txt"


@pytest.mark.parametrize("format", [2, "1", None])
def test_other_format_says_which_one_is_read(tmp_path: Path, format: object) -> None:
    _write(tmp_path / "one")
    (tmp_path / "one" / "config.json").write_text(json.dumps({"kind": "test", "format": format}))
    with pytest.raises(WeightsError, match=rf"has format {format!r}; limner [\d.]+ reads format 1"):
        weights.read(tmp_path / "one")


@pytest.mark.parametrize(
    "files",
    [
        None,
        [],
        ["config.json"],
        {"config.json": None},
        {"config.json": {"bytes": "12", "sha256": ""}},
        {"../../secret": {"bytes": 1, "sha256": ""}},
    ],
)
def test_manifest_of_a_stranger_is_refused(tmp_path: Path, files: object) -> None:
    _write(tmp_path / "one")
    manifest = tmp_path / "one" / "manifest.json"
    content = json.loads(manifest.read_text())
    if isinstance(files, dict):
        files = {**content["files"], **files}
    content["files"] = files
    manifest.write_text(json.dumps(content))
    with pytest.raises(WeightsError, match=r"manifest\.json is damaged"):
        weights.read(tmp_path / "one")


# --- whole or not at all ---


def test_full_disk_leaves_nothing_and_keeps_the_earlier_one(tmp_path: Path) -> None:
    _write(tmp_path / "one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # the tensors need 800 bytes
    try:
        for name in ("one", "two"):
            with pytest.raises(OutputError, match="file too large"):
                _write(tmp_path / name, step=2, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _assert_whole(tmp_path / "one", step=1)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "one", Path("/proc/one")):
        with pytest.raises(OutputError, match=str(path)):
            _write(path)


def _replace_and_die(path: Path, n_events: int) -> bool:
    """Replace the checkpoint in a process that dies at its n-th file operation; did it live?"""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, _: object) -> None:
            nonlocal seen
            seen += event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
            if seen == n_events:
                os._exit(9)

        sys.addaudithook(count)
        _write(path, step=2, replace=True)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_crash_at_any_moment_leaves_the_old_or_the_new_one_whole(tmp_path: Path) -> None:
    steps, n_events, lived = [], 0, False
    while not lived:
        n_events += 1
        path = tmp_path / str(n_events) / "one"
        _write(path)
        lived = _replace_and_die(path, n_events)
        steps.append(weights.read(path).config["step"])
        _assert_whole(path, steps[-1])
        _write(path, step=3, replace=True)  # and what was left lying about is in nobody's way
        _assert_whole(path, step=3)
    assert n_events > 8
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (1, 2)


# --- finding ---


def test_names_are_looked_up_among_the_shipped_and_then_as_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    assert weights.shipped() == []
    _write(tmp_path / "shipped" / "small")
    (tmp_path / "shipped" / "notes").mkdir()
    assert weights.shipped() == ["small"]
    assert weights.find("small") == tmp_path / "shipped" / "small"
    assert weights.find(str(tmp_path)) == tmp_path
    with pytest.raises(WeightsError, match="'large' are neither") as caught:
        weights.find("large")
    assert (
        caught.value.hint
        == "shipped weights: small; or the path of a folder that limner export wrote"
    )
    with pytest.raises(WeightsError, match="no checkpoint folder"):
        weights.read(tmp_path / "nothing")
