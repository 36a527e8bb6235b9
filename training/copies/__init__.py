"""`polynya augment`: shards with augmented copies of the tiles that train, made once."""
