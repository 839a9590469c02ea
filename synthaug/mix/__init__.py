"""Mixing: generated records into somebody's training data."""
