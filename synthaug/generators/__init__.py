"""Generators: networks that draw encoded records for given labels."""
