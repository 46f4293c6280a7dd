"""The error of annotations that cannot be used."""


class AnnotationError(ValueError):
  """Annotations that are broken, or contradict each other or the graph."""
