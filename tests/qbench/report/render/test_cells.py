from qbench.report.render.cells import cells
from qbench.report.view import Column, View


def test_the_ends_of_an_interval_are_one_column():
    columns = (
        Column("group", "scheme"),
        Column("x_low", "95 % low", ".2%"),
        Column("x_high", "95 % high", ".2%"),
        Column("n", "n", ",d"),
    )
    found = cells(View("v", "V", "", columns, (("a", 0.9789, 1.0, 1234), ("b", None, None, None))))
    assert found.headings == ("scheme", "95 % interval", "n")
    assert found.numeric == (False, True, True)
    assert found.rows == (("a", "97.89 to 100.00", "1,234"), ("b", "-", "-"))


def test_one_end_alone_stays_as_it_is():
    columns = (Column("x_high", "95 % high", ".2%"), Column("x_low", "95 % low", ".2%"))
    assert cells(View("v", "V", "", columns, ((0.5, 0.25),))).headings == ("95 % high", "95 % low")
