"""Where in a user's own code an exception comes from."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from qbench.errors import UserError

# Packages that only pass on what a user's code does: the project's own, and those that it is built on.
_MACHINERY = frozenset(sys.stdlib_module_names) | {
    *("qbench", "quantizers", "cuda_ext"),
    *("torch", "pytorch_lightning", "lightning_fabric", "lightning_utilities", "torchmetrics", "sympy", "fsspec"),
    *("numpy", "scipy", "sklearn", "joblib", "threadpoolctl", "safetensors", "onnx", "onnxruntime"),
    *("pydantic", "pydantic_core", "ruamel", "filelock", "wandb", "requests", "urllib3", "google"),
    *("typer", "click", "rich", "altair", "vl_convert", "narwhals", "jsonschema", "jinja2", "markupsafe"),
}
_INSTALLED = tuple(
    str(Path(path).resolve())
    for key, path in sysconfig.get_paths().items()
    if key in ("stdlib", "platstdlib", "purelib", "platlib")
)


def place_of(error: BaseException) -> str | None:
    """Return the user's own line that raised an exception, or that called what raised it: `my_model.py, line 12`.

    It is the last line of the traceback, or of that of the exception's cause, in a file outside the installed packages;
    else in an installed one that is none of those that qbench is built on; of a syntax error the line that is wrong.
    None where there is none.
    """
    lines = [line for each in _with_causes(error) for line in _lines(each)]
    outside = [line for line in lines if not line[1].startswith(_INSTALLED)]
    if not (found := outside or lines):
        return None
    _, file, number = found[-1]
    return f"{_shown(file)}, line {number}"


def reason(error: BaseException) -> str:
    """Return an exception in one line: its class and message, the user's own errors without a class, and its place.

    >>> reason(error)
    'ZeroDivisionError: division by zero (my_quantizers.py, line 12)'
    """
    said = error.msg if isinstance(error, SyntaxError) else str(error)  # whose text names the line as well
    text = said if isinstance(error, UserError) else f"{type(error).__name__}: {said}"
    text = " ".join(text.split()).removesuffix(":") or type(error).__name__
    place = place_of(error)
    return text if place is None or place in text else f"{text} ({place})"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then its cause, and so on."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__


def _lines(error: BaseException) -> Iterator[tuple[str, str, int]]:
    """Yield (module, file, line) of each line of an exception's traceback that is not of the machinery."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        if _is_theirs(frame):
            yield frame.f_globals.get("__name__", ""), _file(frame), number
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        yield "", error.filename, error.lineno


def _is_theirs(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] not in _MACHINERY and not frame.f_code.co_filename.startswith("<")


def _file(frame: FrameType) -> str:
    return str(Path(frame.f_code.co_filename).resolve())


def _shown(file: str) -> str:
    path, here, home = Path(file), Path.cwd(), Path.home()
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    return str("~" / path.relative_to(home)) if path.is_relative_to(home) else file
