"""Layer annotations and Integrated Gradients for canned DNN estimators."""

import importlib
import importlib.util
import typing

__version__ = '0.1.0'

# Loaded when first used (PEP 562), since each brings packages that another use
# of this one does without: readers run where tensorflow_estimator cannot.
_MODULES = {
  'Attributions': 'results.attributions',
  'ColumnValues': 'explainers.baselines',
  'DNNClassifierWithLayerAnnotations': 'estimators',
  'DNNClassifierWithLayerAnnotationsV2': 'estimators',
  'DNNRegressorWithLayerAnnotations': 'estimators',
  'DNNRegressorWithLayerAnnotationsV2': 'estimators',
  'IntegratedGradients': 'explainers.integrated_gradients',
  'LayerAnnotationsCollectionNames': 'annotations.names',
  'NearBaseline': 'explainers.convergence',
  'NotConverged': 'explainers.convergence',
  'RowError': 'saved_models.row_errors',
  'UntrustedModelError': 'saved_models.trust',
}

__all__ = sorted(_MODULES)


# A type checker takes a name from here; for `__getattr__`, any name would do.
if typing.TYPE_CHECKING:
  from tf_dnn_annotations.annotations.names import (
    LayerAnnotationsCollectionNames as LayerAnnotationsCollectionNames,
  )
  from tf_dnn_annotations.estimators import (
    DNNClassifierWithLayerAnnotations as DNNClassifierWithLayerAnnotations,
  )
  from tf_dnn_annotations.estimators import (
    DNNClassifierWithLayerAnnotationsV2 as DNNClassifierWithLayerAnnotationsV2,
  )
  from tf_dnn_annotations.estimators import (
    DNNRegressorWithLayerAnnotations as DNNRegressorWithLayerAnnotations,
  )
  from tf_dnn_annotations.estimators import (
    DNNRegressorWithLayerAnnotationsV2 as DNNRegressorWithLayerAnnotationsV2,
  )
  from tf_dnn_annotations.explainers.baselines import (
    ColumnValues as ColumnValues,
  )
  from tf_dnn_annotations.explainers.convergence import (
    NearBaseline as NearBaseline,
  )
  from tf_dnn_annotations.explainers.convergence import (
    NotConverged as NotConverged,
  )
  from tf_dnn_annotations.explainers.integrated_gradients import (
    IntegratedGradients as IntegratedGradients,
  )
  from tf_dnn_annotations.results.attributions import (
    Attributions as Attributions,
  )
  from tf_dnn_annotations.saved_models.row_errors import RowError as RowError
  from tf_dnn_annotations.saved_models.trust import (
    UntrustedModelError as UntrustedModelError,
  )
else:

  def __getattr__(name: str) -> typing.Any:
    if name in _MODULES:
      module = importlib.import_module(f'{__name__}.{_MODULES[name]}')
      return getattr(module, name)
    # A module, without an import of its own.
    if not name.startswith('_') and importlib.util.find_spec(
      f'{__name__}.{name}'
    ):
      return importlib.import_module(f'{__name__}.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__():
  return sorted(list(globals()) + __all__)
