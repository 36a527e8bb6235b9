"""Programs that Spark, worker processes and ranks run in measured runs."""
