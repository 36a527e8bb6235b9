"""A model's folder: the saved model, checkpoints, log and card."""
