"""The shipped network in ONNX Runtime: graphs that take their weights by name from one file."""

import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from limner.arrays import Bools, Floats, Ints
from limner.engines import cores
from limner.engines.transformer.tiling import MOST_PX, in_bands
from limner.errors import WeightsError
from limner.sampling.decoding import Shape
from limner.storage.checkpoints import quantised, weights
from limner.text.text_tokenizer import TextTokenizer

KIND = "limner-onnx"
TURNED = "^T"  # a weight's name in a graph that wants it transposed
_WIDE = ("pixels", "upscale")  # graphs with work for several threads
_FACTOR = 4  # of one pass of the upscalers

EncodedText = tuple[NDArray[Any], NDArray[Any]]


class OnnxNetwork:
    """Graphs of a weights folder, each loaded when it is first needed; see `decoding.Network`.

    Raises WeightsError if the folder is missing, damaged, or of another kind.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.checkpoint = weights.read(folder)
        if self.checkpoint.kind != KIND:
            raise WeightsError(
                f"Weights {folder} are of kind {self.checkpoint.kind!r}; drawing needs {KIND!r}",
                hint="export a training run first: limner export",
            )
        self.config = self.checkpoint.config
        self.text_tokenizer = TextTokenizer.load(self.checkpoint.file("text_tokenizer.json"))
        self.threads = threads or cores.usable()
        self._loading = threading.Lock()
        stored, self._tables = quantised.read(self.checkpoint)
        self._arrays = quantised.unpack(stored)
        self._turned: dict[str, NDArray[Any]] = {}
        self._sessions: dict[tuple[str, bool], ort.InferenceSession] = {}

    @cached_property
    def shape(self) -> Shape:
        """What the drawing loop must know."""
        config = self.config["model"]["transformer"]
        tables = (
            self._tables.get(f"transformer.content.{i}.table")
            for i in range(config["n_content_layers"])
        )
        heads = config["n_heads"]
        cache = (config["n_content_layers"] + 1, 2, heads, config["d"] // heads)
        return Shape(config["grid"], config["n_codes"], config["n_groups"], cache, tuple(tables))

    @property
    def max_text(self) -> int:
        """Text tokens that are read, with the one that ends a text."""
        return int(self.config["model"]["transformer"]["max_text"])

    def run(
        self, graph: str, *, keeps_memory: bool = True, **inputs: NDArray[Any]
    ) -> list[NDArray[Any]]:
        """All outputs of a graph; several threads may ask at the same time.

        The runtime keeps the memory of a run for the next one, unless told not to.
        """
        key = graph, keeps_memory
        if key not in self._sessions:
            with self._loading:
                if key not in self._sessions:
                    self._sessions[key] = self._load(graph, keeps_memory=keeps_memory)
        outputs: list[NDArray[Any]] = self._sessions[key].run(None, inputs)
        return outputs

    def _load(self, graph: str, *, keeps_memory: bool) -> ort.InferenceSession:
        path = self.checkpoint.file(f"{graph}.onnx")
        model = path.read_bytes()
        options = ort.SessionOptions()
        # A step multiplies a few rows by matrices that stay in the cache: a second thread gains
        # nothing there, and what is drawn cannot depend on how many there are.
        options.intra_op_num_threads = self.threads if graph.startswith(_WIDE) else 1
        # Each session has threads of its own; spinning ones would hold up the next session's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = keeps_memory
        wanted = self.config["graphs"][graph]
        values = [ort.OrtValue.ortvalue_from_numpy(self._weight(name)) for name in wanted]
        options.add_external_initializers(wanted, values)
        try:
            return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exceptions have no common base
            raise WeightsError(
                f"Graph {path} cannot be loaded by ONNX Runtime {ort.__version__}: {error}",
                hint="reinstall limner, or export the weights again",
            ) from error

    def _weight(self, name: str) -> NDArray[Any]:
        """An array that outlives the sessions: they read its memory, and do not keep it."""
        plain = name.removesuffix(TURNED)
        if name == plain:
            return self._arrays[name]
        if name not in self._turned:
            self._turned[name] = np.ascontiguousarray(self._arrays[plain].T)
        return self._turned[name]

    def encode_prompt(self, text: Ints) -> EncodedText:
        """Texts (R, T) as the decoder sees them."""
        memory, mask, _ = self.run("text", text=text)
        return memory, mask

    def step(
        self,
        memory: EncodedText,
        cache: Floats,
        known: Ints,
        known_places: Ints,
        places: Ints,
        masks: Bools,
    ) -> tuple[NDArray[Any], Floats, Floats]:
        """Read cells and look at the next ones."""
        hidden, scores, fresh = self.run(
            "step",
            memory=memory[0],
            mask=memory[1],
            cache=cache,
            known=known,
            known_places=known_places,
            places=places,
            masks=masks,
        )
        return hidden, scores, fresh

    def later_scores(self, hidden: NDArray[Any], codes: Ints) -> Floats:
        """Scores of the next code, given those before it."""
        scores: Floats = self.run(f"code{codes.shape[-1]}", hidden=hidden, codes=codes)[0]
        return scores

    def embed_text(self, text: Ints) -> Floats:
        """Unit vectors of texts (R, T)."""
        embedding: Floats = self.run("text", text=text)[2]
        return embedding

    def embed_image(self, codes: Ints) -> Floats:
        """Unit vectors of pictures' codes (B, n_cells, n_groups)."""
        embedding: Floats = self.run("image", codes=codes)[0]
        return embedding

    def codes(self, pictures: NDArray[np.float32]) -> Ints:
        """Codes (B, n_cells, n_groups) of premultiplied RGBA (B, 4, px, px) in [0, 1]."""
        codes: Ints = self.run("codes", pictures=pictures)[0]
        return codes

    def pixels(self, codes: Ints, n_passes: int = 0) -> NDArray[np.float32]:
        """Premultiplied RGBA (B, 4, px, px) in [0, 1], after `n_passes` upscalers."""
        return self.enlarged(self.run("pixels", codes=codes)[0], n_passes)

    def enlarged(self, pictures: NDArray[np.float32], n_passes: int) -> NDArray[np.float32]:
        """Pictures (B, 4, H, W) of any sides, each `n_passes` times larger by the upscalers.

        What pictures of several bands need is not kept. Those of one band are some 7 % faster if
        it is.
        """
        n_layers = self.config["model"]["upscaler"]["n_layers"]
        rows, columns = pictures.shape[2:]
        is_large = rows * columns * _FACTOR ** (2 * (n_passes - 1)) > MOST_PX
        for i in range(n_passes):
            enlarge = partial(self._pass, f"upscale{i + 1}", is_large)
            pictures = in_bands(enlarge, pictures, reach=n_layers[i] + 2)  # a pixel a convolution
        return pictures

    def _pass(
        self, graph: str, is_large: bool, pictures: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        outputs = self.run(graph, keeps_memory=not is_large, pictures=pictures)
        larger: NDArray[np.float32] = outputs[0]
        return larger
