"""Bytes, instructions, times."""
