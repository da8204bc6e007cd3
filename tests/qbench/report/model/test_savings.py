import pytest

from qbench.report.model.group import Group
from qbench.report.model.savings import savings


def group(size=None, energy=None, low=None, high=None):
    names = {"": energy, "_low": low, "_high": high}
    metrics = {f"cost/energy_uj{end}": value for end, value in names.items()}
    return Group("g", {}, (), {}, (), 0, None, {"cost/weight_bytes": size, **metrics})


@pytest.mark.parametrize(
    ("mine", "base", "text"),
    [
        # 888848 / 29756 = 29.87; [10 / 0.5, 10 / 0.4] = [20, 25]
        (group(29_756, 0.45, 0.4, 0.5), group(888_848, 10, 10, 10),
         "29.9 times fewer weight bytes and 20.0 to 25.0 times less estimated energy"),
        (group(200, 2), group(100, 1), "2.0 times more weight bytes and 2.0 times more estimated energy"),
        (group(100, 2, 1, 3), group(100, 2, 1, 3), "as many weight bytes and the same estimated energy"),
        (group(100, 2, 1, 3), group(102, 3, 2, 4),
         "slightly fewer weight bytes and an estimated energy whose range overlaps"),
        (group(50), group(100, 1), "2.0 times fewer weight bytes"),
        (group(None, 1), group(100, 4), "4.0 times less estimated energy"),
        (group(), group(100, 1), None),
    ],
)  # fmt: skip
def test_what_a_group_takes_beside_another(mine, base, text):
    assert savings(mine, base) == text
