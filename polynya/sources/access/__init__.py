"""Requests to servers and checks of addresses in catalogues, within limits."""
