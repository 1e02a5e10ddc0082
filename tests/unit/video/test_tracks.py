"""Who is who, from look to look."""

from mien.video.tracks import FORGET_S, Tracker
from samples import make_face

FACE = make_face(50, 40, 30, 40)


def persons(times_s: list[float], missing: tuple[int, ...] = ()) -> list[list[int]]:
    """Return who a face that does not move is, at each time; missing: looks without it."""
    tracker = Tracker()
    return [
        [tracked.person for tracked in tracker.update([] if look in missing else [FACE], at_s)]
        for look, at_s in enumerate(times_s)
    ]


def test_who_stays_is_the_same_however_rare_the_looks() -> None:
    assert persons([0.0, 2.0, 4.0, 100.0]) == [[1]] * 4


def test_who_is_hidden_for_long_is_somebody_new() -> None:
    assert persons([0.0, 2.0, 4.0], missing=(1,)) == [[1], [], [2]]
    assert persons([0.0, 0.1, FORGET_S + 0.1], missing=(1,)) == [[1], [], [2]]


def test_who_is_hidden_for_a_moment_is_not() -> None:
    assert persons([0.0, 0.1, FORGET_S - 0.1], missing=(1,)) == [[1], [], [1]]
