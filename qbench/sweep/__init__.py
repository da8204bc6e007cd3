"""Sweeps: many trials from one file, run on many processes, kept in one folder."""
