"""Tests on TensorFlow 2.16 and newer begin as a pipeline would there."""

import importlib.util

from tf_dnn_annotations import modern_tf

# Readers are tested where the estimators cannot be had, too.
if all(map(importlib.util.find_spec, ('tensorflow_estimator', 'tf_keras'))):
  modern_tf.install()
