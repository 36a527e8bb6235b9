"""Accuracy of labels under cloud and shadow, by every method of `autolabel.label_image`."""
