import pytest

from qbench.report.charts.theme import DARK, DASHES, LIGHT, SHAPES, STYLES, vega_config


def luminance(colour):
    """Relative luminance of a #rrggbb colour, as WCAG 2.2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_marks_can_be_seen(theme):
    assert contrast(theme.ink, theme.background) >= 7
    assert contrast(theme.muted, theme.background) >= 4.5
    for colour in theme.categories:
        assert contrast(colour, theme.background) >= 3, colour


def test_colours_have_as_many_shapes_and_dashes_beside_them():
    assert len(set(LIGHT.categories)) == len(set(DARK.categories)) == len(set(SHAPES)) == len(set(DASHES)) == 8


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_style_is_configured(theme):
    assert set(vega_config(theme)["style"]) == set(STYLES)
    assert vega_config(theme)["background"] is None


def test_both_themes_differ_in_colours_alone():
    def sizes(value):
        if isinstance(value, dict):
            return {key: sizes(each) for key, each in value.items()}
        if isinstance(value, list):
            return [sizes(each) for each in value]
        return None if isinstance(value, str) and value.startswith("#") else value

    light, dark = vega_config(LIGHT), vega_config(DARK)
    assert light != dark
    assert {k: v for k, v in sizes(light).items() if k != "range"} == {
        k: v for k, v in sizes(dark).items() if k != "range"
    }
