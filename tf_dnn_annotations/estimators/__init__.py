"""The writer: estimators whose exports carry layer annotations.

Besides `modern_tf`, the only importer of tensorflow_estimator. Never imports
the reader.
"""

from tf_dnn_annotations import modern_tf

# Before anything here loads TensorFlow, so that it uses the Keras that
# tensorflow_estimator needs.
modern_tf.make_importable()

# ruff: noqa: E402
from tf_dnn_annotations.estimators.dnn import DNNClassifierWithLayerAnnotations
from tf_dnn_annotations.estimators.dnn import (
  DNNClassifierWithLayerAnnotationsV2,
)
from tf_dnn_annotations.estimators.dnn import DNNRegressorWithLayerAnnotations
from tf_dnn_annotations.estimators.dnn import DNNRegressorWithLayerAnnotationsV2

__all__ = [
  'DNNClassifierWithLayerAnnotations',
  'DNNClassifierWithLayerAnnotationsV2',
  'DNNRegressorWithLayerAnnotations',
  'DNNRegressorWithLayerAnnotationsV2',
]
