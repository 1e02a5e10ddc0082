"""The composition root: settings in, a ready pipeline out."""

from mien.classify.onnx import OnnxClassifier, load_classifier
from mien.config import Settings
from mien.detect.registry import build_detector
from mien.pipeline import Pipeline

__all__ = ["build_pipeline"]


def build_pipeline(settings: Settings) -> Pipeline:
    """Load and verify the models of the settings.

    Raises ArtifactError if a model is missing, altered or not what its card says, and
    InvalidParameterError for a detector that is not registered.
    """
    detector = build_detector(settings.detector, settings.detector_model)
    classifier: OnnxClassifier = load_classifier(settings.model)
    return Pipeline(detector, classifier, min_face_size=settings.min_face_size)
