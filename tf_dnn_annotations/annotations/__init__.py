"""What an export carries: how it is written into a graph and read from one.

Shared by the writer, `estimators`, and the reader, `saved_models`; imports
neither of them.
"""
