"""A view as a LaTeX table, with the rules of the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.report.render.cells import cells
from qbench.report.view import View
from qbench.report.visible import visible

# Characters that LaTeX gives a meaning, or that its usual fonts show as another; and those that pdflatex lacks.
# A bracket or an asterisk after `\\` would be its argument.
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "{''}", "'": "{'}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "*": "{*}",
    "×": r"$\times$", "µ": r"$\mu$", "μ": r"$\mu$", "±": r"$\pm$", "·": r"$\cdot$", "−": "$-$",
    "–": r"\textendash{}", "—": r"\textemdash{}",
    "…": r"\ldots{}", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "∞": r"$\infty$", "σ": r"$\sigma$",
    "²": r"$^2$", "³": r"$^3$", "’": "'", "‘": "`", "“": "``", "”": "''",
}  # fmt: skip
_LAST_LATIN = "\u017f"  # of Latin Extended-A, which pdflatex knows


def document(title: str, verdict: Sequence[str], views: Sequence[View], longer: Sequence[View] = ()) -> str:
    """Return what a LaTeX document can `\\input`: the verdict, then a table for each view; `longer` are only named."""
    head = [rf"% {visible(title)}", "% Needs \\usepackage{booktabs}."]
    paragraphs = [f"{escaped(text)}\n" for text in verdict]
    left = [f"% Too long for this document, and written by --view NAME: {visible(view.name)}" for view in longer]
    return "\n".join([*head, *paragraphs, *map(table, views), *left]).rstrip("\n") + "\n"


def table(view: View) -> str:
    """Return a `table` environment: caption, label, the rows between booktabs' rules, the notes below.

    In a view without rows the reason stands in place of the table. The package booktabs has the rules.
    """
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(view.title)}. {escaped(view.caption)}}}",
        rf"\label{{tab:{_label(view.name)}}}",
        *(_tabular(view) if view.rows else [f"No rows: {escaped(view.missing or 'there are none')}."]),
    ]
    if view.rows and view.notes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize"]
        lines += [rf"{escaped(note)}.\par" for note in view.notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table}", ""])


def escaped(text: str) -> str:
    """Return `text` so that pdflatex prints it as it is, in one line; a character that it lacks as `{[}U+4E2D{]}`."""
    return "".join(map(_character, visible(text))).replace("--", "-{}-").replace("--", "-{}-")  # no dashes


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii() or ("\u00c0" <= character <= _LAST_LATIN):
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"


def _label(name: str) -> str:
    return "".join(c for c in name if c.isascii() and (c.isalnum() or c in "-:"))


def _tabular(view: View) -> list[str]:
    found = cells(view)
    form = "".join("r" if numeric else "l" for numeric in found.numeric)
    rows = [_row(row) for row in found.rows]
    return [
        rf"\begin{{tabular}}{{{form}}}",
        r"\toprule",
        _row(found.headings),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _row(texts: tuple[str, ...]) -> str:
    return " & ".join(map(escaped, texts)) + r" \\"
