"""`polynya timeseries`: ice concentration and areas of classes over time."""
