"""How right labels are under cloud and shadow, by every method of `autolabel.label_image`."""
