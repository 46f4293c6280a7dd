"""The annotations of an export, written into a graph and read from it.

`contract` has both directions, `annotate` and `find`. Shared by the writer,
`estimators`, and the reader, `saved_models`, and imports neither of them.
"""
