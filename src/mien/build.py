"""The composition root: settings in, a ready pipeline out."""

from mien.classify.onnx import OnnxClassifier, load_classifier
from mien.config import Settings
from mien.detect.registry import build_detector
from mien.pipeline import Pipeline
from mien.runtime.providers import parse_providers

__all__ = ["build_pipeline"]


def build_pipeline(settings: Settings) -> Pipeline:
    """Load and verify the models of the settings.

    Raises ArtifactError if a model is missing, altered or not what its card says, and
    InvalidParameterError for a detector that is not registered or a provider that isn't there.
    """
    providers = parse_providers(settings.providers)
    detector = build_detector(settings.detector, settings.detector_model, providers=providers)
    classifier: OnnxClassifier = load_classifier(settings.model, providers=providers)
    return Pipeline(detector, classifier, min_face_size=settings.min_face_size)
