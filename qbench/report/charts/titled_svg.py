"""An SVG drawing that a screen reader can read."""

from __future__ import annotations

from html import escape


def titled_svg(drawn: str, title: str, description: str) -> str:
    """Return the drawing with a title and a description, of which vl-convert itself writes neither.

    Args:
        drawn: the text of an SVG file.
        title, description: what a screen reader reads.
    """
    head, _, body = drawn.partition(">")
    return (
        f'{head} role="img" aria-labelledby="title description">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="description">{escape(description)}</desc>\n{body}\n'
    )
