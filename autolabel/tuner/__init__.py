"""`polynya thresholds`: colour thresholds by eye in a local page (docs/adr/0007), or suggested."""
