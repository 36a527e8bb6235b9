"""Several trainings that answer a question, and scenes that are worth labelling next."""
