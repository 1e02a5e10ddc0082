"""Emotion models by name or file."""

from collections.abc import Sequence
from pathlib import Path

from mien.classify import EmotionClassifier
from mien.classify.onnx import DEFAULT_MODEL, load_classifier
from mien.errors import ArtifactError
from mien.plugins import CLASSIFIER_GROUP, find_plugin
from mien.runtime.providers import CPU, Provider

__all__ = ["build_classifier"]


def build_classifier(
    model: Path | str | None = None, *, providers: Sequence[Provider] = CPU
) -> EmotionClassifier:
    """Return a classifier.

    Args:
        model: The name of a plug-in, or an ONNX file with its ``card.toml`` next to it. None, or
            the name on its card: the model in the package. A plug-in is an entry point in
            the group ``mien.classifiers`` that takes the keyword ``providers``.
        providers: As for OrtSession.

    Raises:
        ArtifactError: The file or its card is missing, altered or invalid, or they do not match.
        InvalidParameterError: A plug-in cannot be loaded, or a provider is not available.
    """
    if model is None or model == DEFAULT_MODEL:
        return load_classifier(providers=providers)
    factory = find_plugin(CLASSIFIER_GROUP, model) if isinstance(model, str) else None
    if factory is not None:
        classifier: EmotionClassifier = factory(providers=providers)
        return classifier
    if isinstance(model, str) and "://" in model:
        raise ArtifactError(f"models are not downloaded: give the path of a file, not {model}")
    return load_classifier(Path(model), providers=providers)
