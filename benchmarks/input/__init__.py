"""How fast tiles come from shards to the training step, and what augmentation adds."""
