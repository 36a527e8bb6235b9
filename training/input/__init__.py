"""From shards to batches: cache, stream, split, validation."""
