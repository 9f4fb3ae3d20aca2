"""Advice on API queries from what was observed of them."""
