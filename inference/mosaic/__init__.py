"""`polynya mosaic`: maps of many scenes as one."""
