"""Makes `oracle` importable under pytest's importlib mode, which puts no test directory on sys.path."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("oracle", Path(__file__).parent / "oracle.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["oracle"] = _module
_spec.loader.exec_module(_module)
