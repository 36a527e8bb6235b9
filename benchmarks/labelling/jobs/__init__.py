"""The programs that Spark, processes and ranks run in measured runs."""
