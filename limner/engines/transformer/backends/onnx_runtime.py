"""The networks in ONNX Runtime, on the CPU: graphs that take their weights by name."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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

_WIDE = ("pixels", "layout_pixels", "upscale", "restore")  # graphs with work for several threads
# Graphs whose rows do not see each other, with the inputs that are the cells read and asked for.
_IN_ROWS = {"step": ("known", "places"), "layout_step": ("codes", "asked_owner")}
_OF_ALL_ROWS = ("masks",)  # inputs without a dimension for rows
# In a row of a half. A product of one cell alone is summed in another order than that of several.
_MIN_CELLS = 4


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
        self._loading: dict[str, threading.Lock] = {}
        self._counting = threading.Lock()
        self._n_running = 0
        self._helper = ThreadPoolExecutor(max(1, self.threads // 2), "rows")

    def run(self, graph: str, **inputs: Array | Positions) -> list[Array]:
        """All outputs of a graph; several threads may ask at the same time."""
        session, named = self._session(graph), _by_name(inputs)
        with self._counted() as n_running:
            if n_running < self.threads and _can_be_halved(graph, named):
                return self._in_halves(session, named)
            outputs: list[Array] = session.run(None, named)
            return outputs

    def load_ahead(self, *, layouts: bool) -> None:
        """Begin to load the graphs that draw squares or layouts, in the order of their use."""
        drawing = ("layout_step", "code1", "codes", "layout_image", "layout_pixels", "restore")
        graphs = drawing if layouts else ("step", "code1", "image", "pixels", "restore")
        lacking = [g for g in graphs if g in self.config["graphs"] and g not in self._sessions]
        if lacking and self.threads > 1:
            self._helper.submit(self._load_all, lacking)

    def _load_all(self, graphs: Sequence[str]) -> None:
        """Load graphs; one that fails says so where it is needed."""
        with self._counted():
            for graph in graphs:
                self._session(graph)

    def _session(self, graph: str) -> ort.InferenceSession:
        with self._counting:
            loading = self._loading.setdefault(graph, threading.Lock())
        with loading:
            if graph not in self._sessions:
                self._sessions[graph] = self._load(graph)
        return self._sessions[graph]

    @contextmanager
    def _counted(self) -> Iterator[int]:
        """How many threads run or load graphs, this one included."""
        with self._counting:
            self._n_running += 1
        try:
            yield self._n_running
        finally:
            with self._counting:
                self._n_running -= 1

    def _in_halves(self, session: ort.InferenceSession, inputs: dict[str, Array]) -> list[Array]:
        """Run half of the rows in another thread: for a core that would be idle."""
        n = len(inputs["cache"]) // 2
        second = self._helper.submit(session.run, None, _rows(inputs, slice(n, None)))
        first = session.run(None, _rows(inputs, slice(n)))
        return [np.concatenate(parts) for parts in zip(first, second.result(), strict=True)]

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
            # Two threads may turn it at a time; sessions of both must get the one that is kept.
            self._turned.setdefault(name, np.ascontiguousarray(self._arrays[plain].T))
        return self._turned[name]


def _can_be_halved(graph: str, inputs: dict[str, Array]) -> bool:
    if graph not in _IN_ROWS or len(inputs["cache"]) < 2:
        return False
    return all(inputs[name].shape[1] >= _MIN_CELLS for name in _IN_ROWS[graph])


def _rows(inputs: dict[str, Array], rows: slice) -> dict[str, Array]:
    return {name: value if name in _OF_ALL_ROWS else value[rows] for name, value in inputs.items()}


def _by_name(inputs: dict[str, Array | Positions]) -> dict[str, Array]:
    """A graph's inputs by their names: those of positions are its fields after its own."""
    named: dict[str, Array] = {}
    for name, value in inputs.items():
        if isinstance(value, Positions):
            named |= {f"{name}_{f.name}": getattr(value, f.name) for f in fields(Positions)}
        else:
            named[name] = value
    return named
