"""Layer annotations and Integrated Gradients for canned DNN estimators."""

import importlib
import importlib.util

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
  'NearBaseline': 'explainers.integrated_gradients',
  'NotConverged': 'explainers.integrated_gradients',
  'RowError': 'saved_models.row_errors',
  'UntrustedModelError': 'saved_models.trust',
}

__all__ = sorted(_MODULES)


def __getattr__(name):
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
