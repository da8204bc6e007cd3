import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from stored_examples import LABELS, SWEEP, predictions, result

from qbench.sweep.plan import PlannedTrial
from qbench.sweep.store import Store
from qbench.trial.config import TrialConfig


@pytest.fixture
def run_folder(tmp_path):
    """A finished sweep as `qbench sweep` leaves it, of SWEEP in tiny.yaml: three trials done, one failed."""
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    folder = tmp_path / "runs" / "tiny"
    store = Store(folder)
    with store.opened():
        trials, records = [], {}
        for number, (scheme, seed) in enumerate([("binarynet", 0), ("binarynet", 1), ("fp32", 0), ("fp32", 1)]):
            config = TrialConfig(scheme=scheme, seed=seed, epochs=3)
            trial = PlannedTrial(f"{number:016x}", "key", config, f"{scheme} seed={seed}")
            trials.append(trial)
            if number == 3:
                records[trial.id] = store.put_failure(trial, "no luck", "traceback")
                continue
            row = {
                **config.flat(),
                "test/accuracy": 1 - (number + 1) / len(LABELS),
                "training/epochs": 3,
                "cost/energy_uj": 1.0,
                "cost/weight_bytes": 10,
            }
            records[trial.id] = store.put_result(trial, result(row, predictions(number + 1)))
        store.write_results(trials, records)
    return folder
