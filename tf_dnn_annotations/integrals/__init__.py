"""Integrals of gradients over straight paths: numpy and C.

Knows neither TensorFlow nor a model. Imports nothing else of this project.
"""
