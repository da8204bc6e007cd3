"""Claims on the energy of one operation: Horowitz's table, quoted, and whether the estimates use these prices."""

from __future__ import annotations

from qbench.claims.claim import Cited, Claim, Computed, formatted
from qbench.claims.judge import always, quoted
from qbench.cost.prices import HOROWITZ_45NM, MEMORY_LEVELS, Bounds

_SECTION = "Energy of one operation, 45 nm (Horowitz, as tabled in BinaryNet)"
_SOURCE = "Horowitz, Computing's energy problem, ISSCC 2014, as tabled in BinaryNet, arXiv 1602.02830"
# operation; its name in qbench.nn.operations.Operations, None where no estimate needs it; pJ
_OPERATIONS = (
    ("8-bit integer multiplication", "int8_mul", 0.2),
    ("8-bit integer addition", None, 0.03),
    ("32-bit integer multiplication", "int32_mul", 3.1),
    ("32-bit integer addition", "int32_add", 0.1),
    ("16-bit float multiplication", None, 1.1),
    ("16-bit float addition", None, 0.4),
    ("32-bit float multiplication", "fp32_mul", 3.7),
    ("32-bit float addition", "fp32_add", 0.9),
)
_ACCESSES = {"8 KB": (10, 10), "32 KB": (20, 20), "1 MB": (100, 100), "DRAM": (1300, 2600)}


def _price(id: str, statement: str, paper: tuple[float, float], price: Bounds | None) -> Claim:
    text = f"{paper[0]:g} pJ" if paper[0] == paper[1] else f"{paper[0]:g} to {paper[1]:g} pJ"
    if price is None:
        return Claim(id, _SECTION, statement, _SOURCE, text, Cited(), always("cited only"), formatted("-"))
    found = (price.low, price.high)
    used = f"{found[0]:g} pJ" if found[0] == found[1] else f"{found[0]:g} to {found[1]:g} pJ"
    return Claim(
        id,
        _SECTION,
        statement,
        _SOURCE,
        text,
        Computed(lambda: {"value": found}),
        quoted(paper),
        lambda _: f"{used}, the price in estimates",
    )


ENERGY_PRICES = (
    *(
        _price(
            f"energy-{statement.replace(' ', '-')}",
            statement,
            (picojoules, picojoules),
            None if name is None else HOROWITZ_45NM.operations[name],
        )
        for statement, name, picojoules in _OPERATIONS
    ),
    *(
        _price(
            f"energy-{level.replace(' ', '-').lower()}",
            "a 64-bit access to " + (level if level == "DRAM" else f"a cache of {level}"),
            _ACCESSES[level],
            HOROWITZ_45NM.access[level],
        )
        for level in MEMORY_LEVELS
    ),
)
