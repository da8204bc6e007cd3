"""Makes `random_networks` importable (importlib mode puts no test folder on sys.path), and trains small runs."""

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "random_networks", Path(__file__).parent / "deploy" / "packed" / "random_networks.py"
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["random_networks"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A function: scheme (and further keys) to the record of a trial, trained once, as `qbench train` leaves it."""
    from qbench.sweep.plan import load_training, plan_trial
    from qbench.sweep.store import Store
    from qbench.trial.config import TrialConfig

    made = {}

    def train(scheme="binarynet", **fields):
        values = {"scheme": scheme, "model_options": {"width": 6}, "epochs": 2, **fields}
        if repr(values) not in made:
            training = load_training()
            trial = plan_trial(TrialConfig.from_mapping(values), training)
            store = Store(tmp_path_factory.mktemp("run"))
            with store.opened():
                store.put_result(trial, training.run_trial(training.resolve(trial.config), store.folder))
            made[repr(values)] = store.trials / f"{trial.id}.json"
        return made[repr(values)]

    return train
