from collections.abc import Iterator
from pathlib import Path

import pytest
from attacked import Attacked, attacked


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Attacked]:
    with attacked(tmp_path) as service:
        yield service
