"""Which files of a repository are fetched, and which repositories are refused."""

import pytest

from limner.errors import DataError
from limner.storage.hub.choosing import RemoteFile, chosen
from limner.storage.hub.source import FileSource, HubSource, parse

PIPELINE = [
    "model_index.json",
    "README.md",
    "LICENSE",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
]


def _chosen(paths: list[str], path: str = "") -> list[str]:
    files = [RemoteFile(one, 1, f"http://x/{one}") for one in paths]
    return [file.path for file in chosen(files, path, "hf:a/b@main")]


def test_a_pipeline_is_fetched_without_what_it_does_not_need() -> None:
    more = [
        "v1-5-pruned.safetensors",  # the same once more, in one file
        "v1-5-pruned.ckpt",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/flax_model.msgpack",
        "example.png",
    ]
    assert _chosen(PIPELINE + more) == sorted(PIPELINE)


def test_a_variant_is_taken_where_there_is_no_other() -> None:
    paths = ["model_index.json", "unet/config.json", "unet/model.fp16.safetensors"]
    assert _chosen(paths) == paths


def test_parts_of_weights_come_with_their_index() -> None:
    parts = [f"unet/model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    paths = ["model_index.json", *parts, "unet/model.safetensors.index.json"]
    variant = ["unet/model.fp16.safetensors", "unet/model.safetensors.index.fp16.json"]
    assert _chosen(paths + variant) == paths


def test_weights_of_openvino_are_no_pickles() -> None:
    paths = ["model_index.json", "unet/openvino_model.bin", "unet/openvino_model.xml"]
    assert _chosen(paths) == paths


def test_one_file_and_one_folder_can_be_named() -> None:
    paths = ["q4/model.gguf", "q8/model.gguf", *(f"sd/{path}" for path in PIPELINE)]
    assert _chosen(paths, "q4/model.gguf") == ["q4/model.gguf"]
    assert _chosen([*paths, "sd/all.safetensors"], "sd") == sorted(f"sd/{p}" for p in PIPELINE)


@pytest.mark.parametrize(
    ("paths", "path", "words"),
    [
        ([*PIPELINE, "vae/config.json", "vae/model.bin"], "", "vae/model.bin as a pickled file"),
        (["model.ckpt"], "", "only pickled files, such as model.ckpt"),
        (["model.ckpt"], "model.ckpt", "is a pickled file"),
        (["model.gguf", "README.md"], "", "no pipeline, but files of models"),
        (["README.md"], "", "no model that limner knows"),
        (["README.md"], "README.md", "is no model file"),
        (PIPELINE, "nothing.gguf", "has no nothing.gguf"),
        ([*PIPELINE, "../evil.json"], "", "not taken"),
        ([*PIPELINE, "/etc/evil.json"], "", "not taken"),
        ([*PIPELINE, "a\\..\\evil.json"], "", "not taken"),
    ],
)
def test_what_is_refused(paths: list[str], path: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        _chosen(paths, path)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf:a/b", HubSource("a/b")),
        ("hf:a/b@v1", HubSource("a/b", revision="v1")),
        ("hf:a/b@refs/pr/3", HubSource("a/b", revision="refs/pr/3")),
        ("hf:a/b.c/q4/x.gguf@0123", HubSource("a/b.c", "q4/x.gguf", "0123")),
        ("https://huggingface.co/a/b", HubSource("a/b")),
        ("https://huggingface.co/a/b/tree/v1", HubSource("a/b", revision="v1")),
        ("https://huggingface.co/a/b/blob/main/x.gguf", HubSource("a/b", "x.gguf")),
        ("https://huggingface.co/a/b/resolve/v1/q/x.gguf", HubSource("a/b", "q/x.gguf", "v1")),
        ("https://x.org/y/z.gguf?download=1", FileSource("https://x.org/y/z.gguf?download=1")),
        ("https://api.openai.com/v1", None),
        ("http://10.0.0.5:8000", None),
        ("/a/folder", None),
    ],
)
def test_sources(text: str, source: object) -> None:
    assert parse(text) == source


@pytest.mark.parametrize("text", ["hf:", "hf:a", "hf:a/../b", "hf:a/b@", "hf:a/b@x y", "hf:/a/b"])
def test_what_is_no_repository(text: str) -> None:
    with pytest.raises(DataError, match="no repository of a hub"):
        parse(text)
