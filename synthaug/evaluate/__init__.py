"""Measuring: what does a downstream classifier gain? Nothing here knows how records are generated."""
