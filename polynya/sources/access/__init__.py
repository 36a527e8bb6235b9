"""Requests to servers and addresses in catalogues, each within limits."""
