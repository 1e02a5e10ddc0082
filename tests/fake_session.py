"""An inference session without a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mien.runtime.ort import TensorSpec

__all__ = ["FakeSession"]


class FakeSession:
    """Returns from each run what a function returns for its feeds.

    Attributes:
        inputs: The inputs that it declares.
        outputs: The outputs that it declares.
    """

    def __init__(
        self,
        respond: Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]],
        *,
        inputs: Sequence[TensorSpec] = (TensorSpec("input", (None,)),),
        outputs: Sequence[TensorSpec] = (TensorSpec("output", (None,)),),
    ) -> None:
        self._respond = respond
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return self._respond(feeds)
