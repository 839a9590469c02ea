"""What every test shares: the same random examples each time, and no deadline on a busy machine."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("steady")
