"""Networks under schemes, each beside an independent float64 computation: right, refused by name, or wrong."""
