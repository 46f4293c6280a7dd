"""Which tests there are on the TensorFlow at hand."""

import importlib.util

# The package of TensorFlow 1.15 that tf.contrib is in; later ones have it not.
if importlib.util.find_spec('tensorflow_core') is None:
  collect_ignore = ['replaces_contrib_test.py']
