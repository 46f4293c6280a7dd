"""The writer: estimators whose exports carry layer annotations.

Together with `modern_tf` the only importer of tensorflow_estimator. Never
imports the reader.
"""

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
