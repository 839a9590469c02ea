"""Codecs: records as the user knows them to tensors and back."""
