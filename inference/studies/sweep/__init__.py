"""Sweeps: many trainings of one study file, on any number of workers, with tables and figures."""
