"""No module imports another in a circle, not even inside a function or for its types."""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest


def test_there_is_no_import_circle() -> None:
    graph = grimp.build_graph("limner", cache_dir=None)
    modules = {
        module: graph.find_modules_directly_imported_by(module) - {"limner"}
        for module in graph.modules - {"limner"}
    }
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
