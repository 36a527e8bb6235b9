"""The report of `polynya inspect` as one HTML page: a module a part."""
