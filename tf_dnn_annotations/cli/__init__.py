"""The command line. Must not import the writer: `estimators`, `modern_tf`."""
