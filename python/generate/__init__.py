"""Generators of committed code."""
