"""Detectors and classifiers of other packages, which register them as entry points."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mien.errors import InvalidParameterError, MienError

__all__ = ["CLASSIFIER_GROUP", "DETECTOR_GROUP", "find_plugin", "plugin_names"]

# Groups of entry points: each names a class or function that returns a detector or a classifier.
DETECTOR_GROUP = "mien.detectors"
CLASSIFIER_GROUP = "mien.classifiers"


def find_plugin(group: str, name: str) -> Callable[..., Any] | None:
    """Return what an installed package has registered under this name; None if nothing.

    Raises InvalidParameterError if it cannot be imported. The result raises it if its call fails.
    """
    for entry in _entry_points(group=group, name=name):
        with _loading(f"{name} ({entry.value})"):
            factory: Callable[..., Any] = entry.load()
        return _loading(name)(factory)
    return None


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Turn errors of a plug-in's own code into InvalidParameterError."""
    try:
        yield
    except MienError:
        raise
    except Exception as error:
        raise InvalidParameterError(
            f"the plug-in {name} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def plugin_names(group: str) -> list[str]:
    """Return the names that installed packages have registered, sorted."""
    return sorted(entry.name for entry in _entry_points(group=group))


def _entry_points(**selection: str) -> Iterable[Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and few need plug-ins

    return entry_points(**selection)
