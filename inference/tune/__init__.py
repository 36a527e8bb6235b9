"""The search for the best decision rules on labelled scenes."""
