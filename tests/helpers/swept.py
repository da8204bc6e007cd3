"""A sweep's folder with its summary."""

import json

import planted

from qbench.report.model.report_model import make_report
from qbench.report.study import read_study


def plant_in(folder, study=None):
    """Writes a study as a sweep leaves it; returns its folder."""
    planted.write(study or planted.study(), folder)
    (folder / "summary.json").write_text(json.dumps(make_report([read_study(folder)]).as_dict()))
    return folder
