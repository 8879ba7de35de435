"""The networks in ONNX Runtime, on the CPU: graphs that take their weights by name."""

import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnxruntime as ort

from limner.engines import cores
from limner.engines.transformer.backends import weights_folder
from limner.engines.transformer.backends.graphs import Array, GraphBackend
from limner.engines.transformer.backends.weights_folder import TURNED
from limner.errors import WeightsError
from limner.sampling.cells import Positions

_WIDE = ("pixels", "layout_pixels", "upscale")  # graphs with work for several threads


class OnnxBackend(GraphBackend):
    """Graphs of a weights folder, each loaded when it is first needed.

    Raises WeightsError if the folder is missing, damaged, or of another kind.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """threads: processor cores to use; 0 means all that this process may use."""
        weights = weights_folder.read(folder)
        super().__init__(weights, threads or cores.usable())
        self._checkpoint, self._arrays = weights.checkpoint, weights.arrays
        self._turned: dict[str, Array] = {}
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._loading = threading.Lock()

    def run(self, graph: str, **inputs: Array | Positions) -> list[Array]:
        """All outputs of a graph; several threads may ask at the same time."""
        if graph not in self._sessions:
            with self._loading:
                if graph not in self._sessions:
                    self._sessions[graph] = self._load(graph)
        outputs: list[Array] = self._sessions[graph].run(None, _by_name(inputs))
        return outputs

    def _load(self, graph: str) -> ort.InferenceSession:
        path = self._checkpoint.file(f"{graph}.onnx")
        model = path.read_bytes()
        options = ort.SessionOptions()
        # A step multiplies a few rows by matrices that stay in the cache: a second thread gains
        # nothing there, and what is drawn cannot depend on how many there are.
        options.intra_op_num_threads = self.threads if graph.startswith(_WIDE) else 1
        # Each session has threads of its own; spinning ones would hold up the next session's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        # An arena would keep the most that its graph ever needed, once for each lane. Without
        # any, two lanes that have drawn 3840x1280 hold 200 MB less; seconds differ by less than
        # those of two runs.
        options.enable_cpu_mem_arena = False
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

    def _weight(self, name: str) -> Array:
        """An array that outlives the sessions: they read its memory, and do not keep it."""
        plain = name.removesuffix(TURNED)
        if name == plain:
            return self._arrays[name]
        if name not in self._turned:
            self._turned[name] = np.ascontiguousarray(self._arrays[plain].T)
        return self._turned[name]


def _by_name(inputs: dict[str, Array | Positions]) -> dict[str, Array]:
    """A graph's inputs by their names: those of positions are its fields after its own."""
    named: dict[str, Array] = {}
    for name, value in inputs.items():
        if isinstance(value, Positions):
            named |= {f"{name}_{f.name}": getattr(value, f.name) for f in fields(Positions)}
        else:
            named[name] = value
    return named
