"""The reader: an annotated SavedModel, from examples to gradients.

Never imports the writer, `estimators`, and works without tensorflow_estimator.
"""
