"""`polynya model`: the families of networks, and the facts of one network."""
