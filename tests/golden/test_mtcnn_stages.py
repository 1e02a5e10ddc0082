"""Every stage of MTCNN against what facenet-pytorch 2.6.0 computes, to 1e-4 in its own units.

Recorded by tools/record_mtcnn_stages.py.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.detect.mtcnn import MtcnnDetector, cascade
from mien.detect.mtcnn.cascade import Cascade
from mien.detect.mtcnn.pyramid import AreaTable, Scratch, level_size, pyramid_scales
from mien.geometry import suppress, whole_pixels

FILE = Path(__file__).with_name("mtcnn_stages.npz")
TOLERANCE = 1e-4
# The reference's pixels go from -1 to 1.
MIDDLE, SPREAD = 127.5, 128
ALL = -1.0
CERTAIN = 0.9

Stages = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def stages() -> Stages:
    with np.load(FILE) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def net() -> Cascade:
    return MtcnnDetector()._cascade


@pytest.fixture(scope="module")
def table(stages: Stages) -> AreaTable:
    return AreaTable(stages["pixels"], Scratch())


def scales(stages: Stages) -> list[float]:
    height, width = stages["pixels"].shape[:2]
    return pyramid_scales(height, width, int(stages["min_face_size"]), cascade.FACTOR)


def close(ours: NDArray[np.float32], theirs: NDArray[np.float32], unit: float = 1.0) -> None:
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours / unit, theirs / unit, rtol=0, atol=TOLERANCE)


def test_levels_and_maps(stages: Stages, net: Cascade, table: AreaTable) -> None:
    for level in stages["levels"]:
        size = level_size(table.height, table.width, scales(stages)[level])
        rows = table.resized(*size)
        close((rows[0] - MIDDLE) / SPREAD, stages[f"level_{level}"])
        maps = cascade._scored(net._pnet, rows)[0]
        close(maps, stages[f"maps_{level}"])


def test_strips_match_the_whole_level(
    stages: Stages,
    net: Cascade,
    table: AreaTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cascade, "LEAST_ROWS", 1)
    monkeypatch.setattr(cascade, "PNET_SCORE", 0)
    for pixels in (1, 1500, 2300, 4000, 7000):
        monkeypatch.setattr(cascade, "STRIP_PIXELS", pixels)
        for level in stages["levels"]:
            size = level_size(table.height, table.width, scales(stages)[level])
            hits = np.concatenate(list(net._hits(table, *size)))
            close(hits, cascade._above(stages[f"maps_{level}"], 0))


def test_boxes_after_suppression_in_levels(stages: Stages) -> None:
    used = [scales(stages)[level] for level in stages["levels"]]
    maps = [stages[f"maps_{level}"] for level in stages["levels"]]
    hits = [cascade._above(level, cascade.PNET_SCORE) for level in maps]
    kept = [stages[f"kept_{level}"] for level in stages["levels"]]
    for one, scale, expected in zip(hits, used, kept, strict=True):
        close(cascade._candidates([one], [scale]), expected)
    together = np.concatenate(kept)
    best_first = np.argsort(-together[:, 4], kind="stable")
    close(cascade._candidates(hits, used), together[best_first])


def test_boxes_after_suppression_across_levels(stages: Stages) -> None:
    rows = stages["kept_in_levels"]
    kept = suppress(rows[:, :4], rows[:, 4], 0.7)
    close(rows[kept, :4], stages["kept_across"])


def test_proposals(stages: Stages, net: Cascade, table: AreaTable) -> None:
    close(net.propose(table, int(stages["min_face_size"])), stages["proposed"])


def test_rnet(stages: Stages, net: Cascade, table: AreaTable) -> None:
    _, rows = net._rnet.run(table, stages["proposed"], ALL)
    close(rows, stages["rnet"])
    close(net.refine(table, stages["proposed"]), stages["refined"])
    passed = stages["rnet"][:, 0] > cascade.RNET_SCORE
    boxes, scores = stages["proposed"][passed], stages["rnet"][passed, 0]
    close(
        boxes[suppress(boxes, scores, cascade.OVERLAP_OF_CANDIDATES)], stages["kept_of_rnet"][:, :4]
    )


def test_onet(stages: Stages, net: Cascade, table: AreaTable) -> None:
    _, rows = net._onet.run(table, stages["refined"], ALL)
    close(rows, stages["onet"])
    found = net.output(table, stages["refined"], CERTAIN)
    certain = stages["boxes"][:, 4] > CERTAIN
    sides = np.ptp(stages["boxes"][certain][:, [0, 2]])
    close(found[:, 1:5], stages["boxes"][certain, :4], sides)
    close(found[:, 0], stages["boxes"][certain, 4])
    close(found[:, 5:].reshape(-1, 5, 2), stages["points"][certain], sides)


def test_first_crops(stages: Stages, net: Cascade, table: AreaTable) -> None:
    for stage, boxes, side in (("rnet", "proposed", 24), ("onet", "refined", 48)):
        edges = whole_pixels(stages[boxes][:1], table.width, table.height)
        crop = table.crops(edges, side)
        close((crop - MIDDLE) / SPREAD, stages[f"{stage}_first"])
