"""Downloads from a hub on loopback: complete and checked, or not there at all."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.errors import DataError, LimnerError, OutputError
from limner.storage.hub import downloads
from limner.storage.hub.source import FileSource, HubSource
from tests.storage.hub.loopback import COMMIT, REPO, Hub, serving

pytest.importorskip("huggingface_hub", reason="pip install 'limner[hub]'")

WEIGHTS = bytes(range(256)) * 2000
FILES = {
    "model_index.json": b'{"_class_name": "X"}',
    "README.md": b"# Tiny",
    "unet/config.json": b"{}",
    "unet/model.safetensors": WEIGHTS,
}
SOURCE = HubSource(REPO)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(dict(FILES)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        # What it keeps of a broken connection: else whole pieces of 10 MB.
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 20_000)
        yield hub


def _fetched(home: Path, source: HubSource | FileSource = SOURCE) -> Path:
    return downloads.fetch(downloads.plan(source, "tiny", home), lambda n_done, n_all: None)


def _content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_it_takes_is_known_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    plan = downloads.plan(SOURCE, "tiny", tmp_path)
    assert plan.source == f"hf:{REPO}@{COMMIT}"
    assert plan.licence == "openrail"
    assert plan.n_bytes == plan.n_left() == sum(map(len, FILES.values()))
    assert plan.n_free > 0
    assert hub.asked == []
    assert not plan.folder.exists()


def test_a_download_is_complete_and_its_manifest_tells_of_it(hub: Hub, tmp_path: Path) -> None:
    plan = downloads.plan(SOURCE, "tiny", tmp_path)
    told: list[tuple[int, int]] = []
    folder = downloads.fetch(plan, lambda n_done, n_all: told.append((n_done, n_all)))
    content = _content(folder)
    manifest = json.loads(content.pop(downloads.MANIFEST))
    assert content == FILES
    assert manifest["source"] == plan.source
    assert {path: one["sha256"] for path, one in manifest["files"].items()} == {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }
    assert told[-1] == (plan.n_bytes, plan.n_bytes)
    assert [path.name for path in (tmp_path / downloads.FOLDER).iterdir()] == ["tiny"]


def test_a_later_attempt_fetches_what_is_missing(hub: Hub, tmp_path: Path) -> None:
    hub.failing.add("unet/model.safetensors")
    with pytest.raises(DataError, match="the hub answered 503"):
        _fetched(tmp_path)
    assert not (tmp_path / downloads.FOLDER / "tiny").exists()
    hub.failing.clear()
    hub.asked.clear()
    assert downloads.plan(SOURCE, "tiny", tmp_path).n_left() == len(WEIGHTS)
    folder = _fetched(tmp_path)
    assert hub.asked == [("unet/model.safetensors", "")]
    assert (folder / "unet/model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.slow  # huggingface_hub waits a second before it goes on
def test_a_broken_connection_is_resumed_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.cut["unet/model.safetensors"] = 100_000
    folder = _fetched(tmp_path)
    assert (folder / "unet/model.safetensors").read_bytes() == WEIGHTS
    [_, (_, asked)] = [one for one in hub.asked if one[0] == "unet/model.safetensors"]
    begin = int(asked.removeprefix("bytes=").rstrip("-"))
    assert 0 < begin <= 100_000


@pytest.mark.slow
def test_another_process_resumes_it_too(hub: Hub, tmp_path: Path) -> None:
    name = "unet/model.safetensors"
    hub.cut[name] = 100_000

    def fail_next(n_done: int, n_all: int) -> None:
        if n_done > 50_000:
            hub.failing.add(name)

    with pytest.raises(DataError, match="503"):
        downloads.fetch(downloads.plan(SOURCE, "tiny", tmp_path), fail_next)
    hub.failing.clear()
    hub.asked.clear()
    assert downloads.plan(SOURCE, "tiny", tmp_path).n_left() < len(WEIGHTS)
    folder = _fetched(tmp_path)
    [(path, asked)] = hub.asked
    assert (path, asked[:6]) == (name, "bytes=")
    assert (folder / name).read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["unet/model.safetensors", "unet/config.json"])
def test_wrong_content_is_refused_and_fetched_anew(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.told[name] = hub.files[name]
    hub.files[name] = hub.files[name][:-1] + b"?"
    with pytest.raises(DataError, match=f"{name} came with other content"):
        _fetched(tmp_path)
    assert not (tmp_path / downloads.FOLDER / "tiny").exists()
    hub.files[name] = hub.told[name]
    assert (_fetched(tmp_path) / name).read_bytes() == FILES[name]


def test_another_commit_does_not_mix_with_the_one_before(hub: Hub, tmp_path: Path) -> None:
    hub.failing.add("unet/model.safetensors")
    with pytest.raises(DataError):
        _fetched(tmp_path)
    hub.failing.clear()
    hub.files["unet/config.json"] = b'{"another": 1}'
    assert (_fetched(tmp_path) / "unet/config.json").read_bytes() == b'{"another": 1}'


def test_pickled_weights_are_refused_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.files["vae/model.bin"] = b"cos\nsystem\n"
    with pytest.raises(DataError, match="pickled") as caught:
        downloads.plan(SOURCE, "tiny", tmp_path)
    assert "safetensors" in str(caught.value.hint)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "is not there, or is private"), (403, "agreed to its licence"), (500, "answered 500")],
)
def test_what_a_hub_refuses(hub: Hub, tmp_path: Path, status: int, words: str) -> None:
    hub.api_status = status
    with pytest.raises(DataError, match=words) as caught:
        downloads.plan(SOURCE, "tiny", tmp_path)
    assert caught.value.hint


def test_a_hub_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="cannot be reached"):
        downloads.plan(SOURCE, "tiny", tmp_path)


def test_too_small_a_disk_is_said_before(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match=r"has 0\.00 GB free"):
        downloads.plan(SOURCE, "tiny", tmp_path)
    assert hub.asked == []


def test_a_disk_that_gets_full_meanwhile_is_told_and_can_go_on(hub: Hub, tmp_path: Path) -> None:
    plan = downloads.plan(SOURCE, "tiny", tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match="Cannot write") as caught:
            downloads.fetch(plan, lambda n_done, n_all: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint
    assert not plan.folder.exists()
    assert (_fetched(tmp_path) / "unet/model.safetensors").read_bytes() == WEIGHTS


def test_a_file_at_an_address_is_fetched_without_a_token(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.files["some/model.gguf"] = WEIGHTS
    source = FileSource(f"{hub.url}/some/model.gguf")
    plan = downloads.plan(source, "tiny", tmp_path)
    assert (plan.n_bytes, plan.licence) == (len(WEIGHTS), "unknown")
    folder = downloads.fetch(plan, lambda n_done, n_all: None)
    assert plan.single == folder / "model.gguf"
    assert plan.single.read_bytes() == WEIGHTS
    assert hub.tokens == {""}


def test_the_hub_gets_the_token(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    _fetched(tmp_path)
    assert hub.tokens == {"Bearer hf_secret"}


def test_a_download_is_not_overwritten_and_can_be_deleted(hub: Hub, tmp_path: Path) -> None:
    folder = _fetched(tmp_path)
    with pytest.raises(OutputError, match="is there already"):
        downloads.plan(SOURCE, "tiny", tmp_path)
    n_bytes = downloads.remove(folder, tmp_path)
    assert n_bytes > len(WEIGHTS)
    assert not folder.exists()


def test_nothing_else_is_deleted(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / downloads.FOLDER / "own"):
        folder.mkdir(parents=True, exist_ok=True)
        with pytest.raises(LimnerError, match="was not downloaded by limner"):
            downloads.remove(folder, tmp_path)
        assert folder.exists()
