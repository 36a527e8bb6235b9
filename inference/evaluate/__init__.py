"""Maps against truth."""
