"""Integrated Gradients: which paths, which integral, whose attributions.

Imports the reader, never the writer.
"""
