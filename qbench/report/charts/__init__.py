"""The charts of a report, one file each: a view as a Vega-Lite specification."""
