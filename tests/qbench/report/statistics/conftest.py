"""Makes `simulation` importable (importlib mode puts no test folder on sys.path)."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("simulation", Path(__file__).parent / "simulation.py")
assert _spec is not None
assert _spec.loader is not None
sys.modules["simulation"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["simulation"])
