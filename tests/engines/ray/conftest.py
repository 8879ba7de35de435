"""One cluster for all tests of this folder, as it takes seconds to start."""

from collections.abc import Iterator

import pytest

from tests.engines.ray import local


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.LocalCluster]:
    """A cluster of one node."""
    with local.cluster(tmp_path_factory.mktemp("ray")) as made:
        yield made
