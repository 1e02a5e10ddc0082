"""Networks for training: a backbone with one output per label set."""

from mien_train.models.classifier import Classifier, build_classifier

__all__ = ["Classifier", "build_classifier"]
