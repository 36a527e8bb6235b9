"""Benchmark of models under cloud: trained on clear labels, scored under another sky."""
