"""What a user's type checker sees of the public API.

`make lint` checks it; tests/public_names_test.py has its names complete, and
that a mistake in it is found.
"""

from typing import Callable, Dict, Iterator, List, Optional, Tuple, Type

import numpy as np

import tf_dnn_annotations as tfda
from tf_dnn_annotations import modern_tf

install: Callable[[], None] = modern_tf.install

ESTIMATORS = (
  tfda.DNNClassifierWithLayerAnnotations,
  tfda.DNNClassifierWithLayerAnnotationsV2,
  tfda.DNNRegressorWithLayerAnnotations,
  tfda.DNNRegressorWithLayerAnnotationsV2,
)
WARNINGS: Tuple[Type[RuntimeWarning], ...] = (
  tfda.NotConverged,
  tfda.NearBaseline,
)
COLLECTION: str = tfda.LayerAnnotationsCollectionNames.keys(
  tfda.LayerAnnotationsCollectionNames.FEATURE_COLUMNS
)


def explain(export_dir: str, examples: List[bytes]) -> Dict[str, np.ndarray]:
  """Returns the attributions of examples by feature."""
  try:
    with tfda.IntegratedGradients(export_dir, trust_model=False) as ig:
      labels: Optional[List[str]] = ig.model.labels
      baselines = tfda.ColumnValues({'age': [labels is None]})
      result: tfda.Attributions = ig.attribute(
        examples, baselines, num_steps=None, tolerance=1e-4
      )
      batches: Iterator[tfda.Attributions] = ig.attribute_batches([examples])
      del batches
  except tfda.RowError as error:
    row: int = error.row
    raise ValueError(row) from error
  except tfda.UntrustedModelError as error:
    unknown: Tuple[str, ...] = error.unknown
    raise ValueError(unknown) from error
  gap: np.ndarray = result.gap
  del gap
  return result.per_feature()
