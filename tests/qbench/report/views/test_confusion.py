import numpy as np
from planted import labels, predictions, studies_of, study
from sklearn.metrics import confusion_matrix

from qbench.report.model.report_model import make_report
from qbench.report.views.confusion import confusion


def test_counts_are_scikit_learns_summed_over_the_seeds():
    found = confusion(make_report([study({"fp32": (0.7, 1, 1.0), "binarynet": (0.4, 1, 1.0)}, seeds=(0, 1, 2))]))
    true = labels()
    for scheme, accuracy in (("fp32", 0.7), ("binarynet", 0.4)):
        expected = sum(
            confusion_matrix(true, predictions(true, accuracy, seed), labels=range(10)) for seed in (0, 1, 2)
        )
        counts, shares = np.zeros((10, 10), int), np.zeros((10, 10))
        for _, actual, predicted, count, share, seeds in (row for row in found.rows if row[0] == scheme):
            counts[actual, predicted], shares[actual, predicted] = count, share
            assert (count > 0, seeds) == (True, 3)
        np.testing.assert_array_equal(counts, expected)
        np.testing.assert_allclose(shares, expected / expected.sum(1, keepdims=True))


def test_many_classes_stay_within_the_limit():
    made = study({f"scheme{i}": (0.1, 1, 1.0) for i in range(60)}, seeds=(0,), images=1000)
    found = confusion(make_report([made]))
    assert len(found.rows) <= 3000
    assert any("the chart draws the first 8 of" in note for note in found.notes)
    assert any("left out, to keep the report small" in note and "`trials/`" in note for note in found.notes)


def test_without_a_trial_there_is_nothing_to_confuse():
    assert confusion(make_report(studies_of([], 1))).missing == "no trial is done"
