"""Leaves out the tests that the installed TensorFlow cannot run."""

import importlib.util

# tf.contrib is in this package, which only TensorFlow 1.15 has.
if importlib.util.find_spec('tensorflow_core') is None:
  collect_ignore = ['replaces_contrib_test.py']
