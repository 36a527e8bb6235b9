"""The folder of a model: the saved model, checkpoints, log and card."""
