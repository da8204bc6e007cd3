"""ReActNet (Liu et al., ECCV 2020): RSign, RPReLU in the place of ReLU, and a float teacher's scores as labels."""

import rsign  # noqa: F401  registers the quantizer

from qbench import SCHEMES, get_scheme

DISTILLATION = {"name": "distillation", "options": {"teacher": "fp32", "temperature": 1.0, "weight": 1.0}}
SCHEMES.add(
    "react-net",
    get_scheme("xnor-net", name="react-net", activations="rsign", activation_function="rprelu", loss=DISTILLATION),
)
