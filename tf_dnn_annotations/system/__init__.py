"""What lies between a run and the operating system: signals and files.

Standard library only; TensorFlow is loaded for remote files alone. Imports
nothing of this project.
"""
