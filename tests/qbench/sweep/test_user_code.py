"""An exception is placed in the user's own code."""

import sys

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError, UserError
from qbench.sweep.user_code import place_of, reason


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Imports a text as a module of the user's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = []

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return __import__(name)

    yield make
    for name in names:
        sys.modules.pop(name, None)


def raised(function, *arguments):
    with pytest.raises(BaseException) as caught:
        function(*arguments)
    # As it is caught by the project: without this file's own frames.
    caught.value.__traceback__ = caught.value.__traceback__.tb_next
    return caught.value


def test_the_last_line_of_the_users_is_named(theirs):
    module = theirs("raises_a", "def outer():\n    return inner()\n\ndef inner():\n    return 1 / 0\n")
    assert reason(raised(module.outer)) == "ZeroDivisionError: division by zero (raises_a.py, line 5)"


def test_what_torch_raises_is_placed_where_it_was_called(theirs):
    module = theirs("raises_b", "import torch\n\ndef multiply(x):\n    return torch.nn.Linear(3, 2)(x)\n")
    assert place_of(raised(module.multiply, torch.zeros(1, 4))) == "raises_b.py, line 4"


def test_the_cause_of_a_wrapped_exception_is_placed(theirs):
    module = theirs("raises_c", "class Mine:\n    def __init__(self, width):\n        raise ValueError(width)\n")
    error = ConfigError("mine: no 3", "model_options")
    error.__cause__ = raised(module.Mine, 3)
    assert reason(error) == "model_options: mine: no 3 (raises_c.py, line 3)"


def test_a_syntax_error_is_placed_at_the_line_that_is_wrong(theirs):
    error = raised(theirs, "raises_d", "x = 1\ny = (\n")
    assert reason(error) == "SyntaxError: '(' was never closed (raises_d.py, line 2)"


def test_errors_without_the_users_code_have_no_place():
    assert place_of(raised(nn.Linear(3, 2), torch.zeros(1, 4))) is None
    assert reason(UserError("nothing\nto say")) == "nothing to say"
    assert reason(ValueError()) == "ValueError"
