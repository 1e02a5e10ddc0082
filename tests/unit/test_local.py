"""Processes of a run on this machine."""

import signal
from collections.abc import Callable

from mien.batch.local import Processes
from programs import posix


class Build:
    """Ctrl-C comes as each process begins: when it gets this, before anything of ours runs."""

    def __call__(self) -> Callable[[str], str]:
        return str.upper

    def __reduce__(self) -> tuple[object, ...]:
        return as_ctrl_c_comes, ()


def as_ctrl_c_comes() -> Build:
    signal.raise_signal(signal.SIGINT)
    return Build()


@posix
def test_ctrl_c_is_for_the_parent_alone() -> None:
    answers = Processes(Build(), 2).in_order(["a", "b", "c"])
    assert list(answers) == [("a", "A"), ("b", "B"), ("c", "C")]
