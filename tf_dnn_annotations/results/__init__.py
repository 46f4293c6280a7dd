"""Attributions as a record, and the forms in which they are written.

numpy only. Imports no model and no TensorFlow; of this project, the packages
`text` and `system`.
"""
