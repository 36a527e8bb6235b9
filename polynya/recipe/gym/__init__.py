"""From a configuration of Segmentation Gym to a recipe; `keys.py` declares each key once.

D. Buscombe and E. Goldstein, "A reproducible and reusable pipeline for segmentation of
geoscientific imagery", Earth and Space Science 9, 2022. Keys are those of the documentation and the
programs of the repository Doodleverse/segmentation_gym.
"""
