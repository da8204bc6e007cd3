import dataclasses

import numpy as np
import pytest
from planted import study

from qbench.report.model.report_model import make_report
from qbench.report.views.histogram import bins
from qbench.report.views.latent_weights import latent_weights


def test_shares_of_a_layer_are_those_of_numpys_histogram():
    weights = np.random.default_rng(0).normal(size=1000).clip(-1, 1)
    counts, edges = np.histogram(weights, 64)
    made = study({"binarynet": (0.9, 1, 1.0)}, seeds=(3, 5))
    latent = [{"layer": "fc", "low": edges[0], "high": edges[-1], "counts": counts.tolist()}]
    kept = {
        r.trial_id: dataclasses.replace(made.details[r.trial_id], latent=latent if r.row["seed"] == 3 else [])
        for r in made.records
    }
    rows = latent_weights(make_report([dataclasses.replace(made, details=kept)])).rows
    assert {(row[0], row[1], row[5]) for row in rows} == {("binarynet", "fc", 3)}  # of the lowest seed
    np.testing.assert_allclose([row[2] for row in rows], edges[:-1], atol=1e-12)
    np.testing.assert_allclose([row[3] for row in rows], edges[1:], atol=1e-12)
    np.testing.assert_allclose([row[4] for row in rows], counts / 1000, atol=1e-12)
    assert rows[0][4] == pytest.approx((weights < edges[1]).mean())  # the pile at the clip


def test_groups_without_binary_weights_have_no_rows():
    assert {row[0] for row in latent_weights(make_report([study()])).rows} == {"binarynet"}
    found = latent_weights(make_report([study({"int8-kl": (0.9, 1, 1.0)})]))
    assert found.missing == "no scheme here has binary weights"


def test_many_bins_are_merged_and_the_last_is_what_remains():
    found = bins([1, 2, 3, 4, 5], 0.0, 10.0, most=2)
    assert [(each.low, each.high) for each in found] == [(0.0, 6.0), (6.0, 10.0)]
    assert [each.share for each in found] == [6 / 15, 9 / 15]


def test_no_counts_are_no_bins():
    assert bins([], 0.0, 1.0) == []
    assert bins([0, 0], 0.0, 1.0) == []
