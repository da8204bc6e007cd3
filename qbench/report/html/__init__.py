"""A report as one HTML file, which holds everything that it needs and asks no host for anything."""
