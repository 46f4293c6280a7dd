"""The command line. Imports everything but the writer, `estimators`."""
