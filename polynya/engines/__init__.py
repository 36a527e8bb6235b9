"""Who runs tasks: processes, MPI or Spark, for labelling and maps alike."""
