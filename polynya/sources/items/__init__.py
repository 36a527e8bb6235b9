"""Items, which describe scenes of all sources in the same form, and scene files made from them."""
