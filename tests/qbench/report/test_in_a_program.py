"""The example of docs/reports.md, run as it is printed."""

import re
from pathlib import Path

from planted import study, write

DOCUMENT = Path(__file__).parents[3] / "docs" / "reports.md"


def test_the_example_runs_on_a_sweeps_folder(capsys, monkeypatch, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    write(study(), Path("runs/binary_vs_int8"))
    exec(compile(example, str(DOCUMENT), "exec"), {})
    *groups, pair = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in groups] == ["fp32", "binarynet", "int8-kl"]
    assert pair.startswith("fp32 minus binarynet Difference(mean=")
