"""Makes `planted` importable (importlib mode puts no test folder on sys.path)."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("planted", Path(__file__).parent / "planted.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["planted"] = _module
_spec.loader.exec_module(_module)
