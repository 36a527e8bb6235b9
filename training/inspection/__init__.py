"""What is in a data set of labelled tiles, and what is wrong with it: `polynya inspect`."""
