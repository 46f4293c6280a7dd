"""The operating system's side of a run: signals and files.

Standard library only; TensorFlow is loaded for remote files alone. Imports
nothing of this project.
"""
