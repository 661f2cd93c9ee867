"""Registries of other makers: real ones, from which is imported."""
