"""An evaluation as lines of text."""

from collections.abc import Iterator

from mien_train.evaluate import Scores
from mien_train.metrics import Metrics

__all__ = ["metrics_lines", "score_lines", "titled"]


def score_lines(scores: Scores) -> Iterator[str]:
    """Yield all metrics, including confusion matrices."""
    yield f"{scores.usage}, {scores.view} view"
    for title, metrics in titled(scores):
        yield ""
        yield from metrics_lines(title, metrics)
    for output, twins in scores.twins.items():
        yield (
            f"{output}: {twins.twins} faces with a near-identical training face, accuracy "
            f"{twins.twins_accuracy:.4f}; {twins.others} others, {twins.others_accuracy:.4f}"
        )


def titled(scores: Scores) -> list[tuple[str, Metrics]]:
    """Return the metrics with their titles, predictions of ``mien`` first."""
    outputs = (
        (f"predictions of mien, six labels, against the {scores.six_truth}", scores.six),
        ("FER+ output, eight classes, against the FER+ majority", scores.ferplus),
        ("FER2013 output, seven classes, against the FER2013 label", scores.fer2013),
    )
    return [(title, metrics) for title, metrics in outputs if metrics is not None]


def metrics_lines(title: str, metrics: Metrics) -> Iterator[str]:
    """Yield the metrics of one table."""
    yield f"{title}: {metrics.faces} faces"
    yield (
        f"accuracy {metrics.accuracy:.4f} {_interval(metrics.accuracy_interval)}, "
        f"macro-F1 {metrics.macro_f1:.4f} {_interval(metrics.macro_f1_interval)}"
    )
    yield (
        f"calibration error {metrics.calibration_error:.4f} "
        f"({metrics.reliability.error_by_chance:.4f} by chance), "
        f"negative log-likelihood {metrics.log_likelihood:.4f}"
    )
    yield f"{'':9} {'faces':>6} {'recall':>7} {'':16} {'precision':>9} {'F1':>6}"
    for row, label in enumerate(metrics.labels):
        yield (
            f"{label:9} {metrics.confusion[row].sum():6} {metrics.recall[row]:7.3f} "
            f"{_interval(metrics.recall_intervals[row], 3)} "
            f"{metrics.precision[row]:9.3f} {metrics.f1[row]:6.3f}"
        )
    yield "rows: truth, columns: prediction"
    yield " ".join([f"{'':9}", *(f"{label:>8}" for label in metrics.labels)])
    for label, counts in zip(metrics.labels, metrics.confusion, strict=True):
        yield " ".join([f"{label:9}", *(f"{count:8}" for count in counts)])
    for mistake in metrics.top_confusions():
        yield (
            f"{mistake.truth} classified as {mistake.predicted}: {mistake.faces} faces, "
            f"{100 * mistake.share:.1f} % of {mistake.truth}"
        )


def _interval(interval: tuple[float, float], places: int = 4) -> str:
    low, high = interval
    return f"({low:.{places}f} to {high:.{places}f})"
