import itertools

from qbench.report.statistics.pareto import pareto_front


def test_the_front_by_hand():
    points = [(0.99, -400), (0.97, -13), (0.96, -13), (0.99, -100), (0.5, -500)]
    assert pareto_front(points) == [False, True, False, True, False]


def test_equal_points_are_both_on_the_front():
    assert pareto_front([(1, 1), (1, 1), (0, 1)]) == [True, True, False]


def test_a_point_that_cannot_be_placed_is_neither_on_it_nor_beats_others():
    assert pareto_front([(1, None), (0, 0)]) == [None, True]


def test_no_point_of_the_front_is_beaten_and_each_other_is():
    points = [*itertools.product(range(3), repeat=3), (5, 0, 0), (0, 5, 0)]
    front = pareto_front(points)
    for point, on_front in zip(points, front, strict=True):
        beaten = any(other != point and all(o >= p for o, p in zip(other, point, strict=True)) for other in points)
        assert on_front is not beaten
