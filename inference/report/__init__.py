"""`polynya report`: a run as one page, a module for each kind of folder (docs/report.md)."""
