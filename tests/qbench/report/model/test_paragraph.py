"""What the paragraph on two groups says that its numbers hold for."""

from planted import study

from qbench.report.model.comparison import compare
from qbench.report.model.paragraph import paragraph
from qbench.report.model.report_model import make_report


def said(made, first="int8-kl", second="fp32"):
    model = make_report([made])
    groups = model.group(first), model.group(second)
    return paragraph(*groups, compare(*groups))


def test_an_interval_over_test_images_alone_is_for_these_trainings():
    # Right on the same images: 1 - 0.025^(1/100) = 3.62 %, exact, over the images alone.
    text = said(study())
    assert "(95 % interval over test images alone: -3.62 to +3.62)" in text
    assert "not distinguishable from none, for these trainings: p = 1 over test images alone" in text
    assert "for these trainings: p" in said(study(seeds=(0, 1)), "binarynet")


def test_an_interval_over_seeds_and_images_is_for_others():
    text = said(study(), "binarynet")
    assert "95 % interval over seeds and images:" in text
    assert "from none, for these trainings" not in text


def test_what_stands_in_brackets_is_said():
    # Energies are planted 10 % to both sides, times without quartiles.
    text = said(study(), "binarynet")
    assert "27 µJ (24.3 to 29.7) for one inference (in brackets: the low and the high estimate)." in text
    assert "0.5 ms against 0.5 ms for one inference." in text
