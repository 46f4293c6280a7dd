"""On TensorFlow 2.16 and newer, tests begin as a pipeline does there."""

import importlib.util

from tf_dnn_annotations import modern_tf

# The readers are also tested where the estimators cannot be installed.
if all(map(importlib.util.find_spec, ('tensorflow_estimator', 'tf_keras'))):
  modern_tf.install()
