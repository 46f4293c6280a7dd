"""The API reference has every public name, and its docstrings say it all.

The entries of docs/reference.md are what mkdocstrings renders: dotted names of
where things are defined, since the names of the package itself are loaded when
they are used, which the reference's builder cannot see.
"""

import dataclasses
import importlib
import inspect
import pathlib
import re

from absl.testing import absltest
from absl.testing import parameterized

import tf_dnn_annotations as tfda

_PAGE = pathlib.Path(__file__).resolve().parents[1] / 'docs' / 'reference.md'

# What a caller can cause to fail, and so must say how.
_RAISING = (
  'AttributionWriter',
  'DNNClassifierWithLayerAnnotations',
  'DNNClassifierWithLayerAnnotationsV2',
  'DNNRegressorWithLayerAnnotations',
  'DNNRegressorWithLayerAnnotationsV2',
  'IntegratedGradients',
  'IntegratedGradients.attribute',
  'IntegratedGradients.attribute_batches',
  'IntegratedGradients.baselines_of',
  'install',
)
# Users read their attributes, and make none.
_ATTRIBUTES_ONLY = ('AnnotatedModel', 'Column', 'Feature')
# What a result holds that is not an array of rows.
_NOT_ARRAYS = (
  'columns',
  'element_names',
  'feature_keys',
  'features',
  'kind',
  'labels',
  'num_outputs',
  'unit',
)


def _resolved(dotted):
  """Returns the object of a dotted name."""
  parts = dotted.split('.')
  for length in range(len(parts) - 1, 0, -1):
    try:
      value = importlib.import_module('.'.join(parts[:length]))
    except ModuleNotFoundError:
      continue
    for part in parts[length:]:
      value = getattr(value, part)
    return value
  raise AssertionError(dotted)


_TEXT = _PAGE.read_text('utf-8')
_ENTRIES = re.findall(r'^::: (\S+)$', _TEXT, re.MULTILINE)


def _callables():
  """Yields (name, callable, docstring) of all that the page describes."""
  for dotted in _ENTRIES:
    value = _resolved(dotted)
    name = dotted.rpartition('.')[2]
    if not inspect.isclass(value):
      yield name, value, inspect.getdoc(value)
      continue
    if issubclass(value, Exception) or name in _ATTRIBUTES_ONLY:
      continue
    # The constructor's arguments are described there or with the class.
    constructor = vars(value).get('__init__')
    if constructor is not None and not dataclasses.is_dataclass(value):
      text = inspect.getdoc(value)
      if constructor.__module__ == value.__module__:
        text += '\n' + inspect.cleandoc(constructor.__doc__ or '')
      yield name, constructor, text
    for key, member in vars(value).items():
      member = getattr(member, '__func__', member)
      if not key.startswith('_') and inspect.isfunction(member):
        yield f'{name}.{key}', member, inspect.getdoc(member)


def _section(text, title):
  """Returns the text of a section of a docstring, None without it."""
  match = re.search(
    rf'^{title}:\n((?: .*\n?|\n(?= ))+)', text + '\n', re.MULTILINE
  )
  return match and match.group(1)


_CALLABLES = [(name, function, text) for name, function, text in _callables()]


class ReferenceTest(parameterized.TestCase):
  @parameterized.parameters(
    *(case[:2] for case in _CALLABLES if not case[0].startswith('DNN'))
  )
  def test_has_types(self, name, function):
    del name
    parameters = set(inspect.signature(function).parameters) - {'self', 'cls'}
    self.assertContainsSubset([*parameters, 'return'], function.__annotations__)

  def test_has_every_public_name(self):
    described = [_resolved(entry) for entry in _ENTRIES]
    table = re.findall(r'\[`([\w.]+)`\]', _TEXT.partition('\n## ')[0])
    for name in tfda.__all__:
      self.assertTrue(
        any(getattr(tfda, name) is value for value in described), name
      )
      self.assertIn(name, table)
    self.assertIn(tfda.modern_tf.install, described)

  def test_has_the_warnings_of_the_public_names(self):
    for warning in ('NotConverged', 'NearBaseline', 'SkippedRows'):
      self.assertIn(warning, [entry.rpartition('.')[2] for entry in _ENTRIES])

  @parameterized.parameters(*_ENTRIES)
  def test_begins_with_a_sentence(self, entry):
    first = inspect.getdoc(_resolved(entry)).partition('\n')[0]
    self.assertRegex(first, r"""^[A-Z`{'].*[.:]$""")

  @parameterized.parameters(*[case[:1] for case in _CALLABLES])
  def test_describes_every_argument(self, name):
    (function, text), *_ = [case[1:] for case in _CALLABLES if case[0] == name]
    names = [
      parameter.name
      for parameter in inspect.signature(function).parameters.values()
      if parameter.name not in ('self', 'cls')
      and parameter.kind != parameter.VAR_KEYWORD
    ]
    if '\n' not in text:  # A sentence may do without a list of its own.
      described = re.findall(r'`(\w+)`', text)
    else:
      described = re.findall(
        r'^  \*{0,2}(\w+):', _section(text, 'Args') or '', re.MULTILINE
      )
    self.assertContainsSubset(names, described)

  @parameterized.parameters(*[case[:1] for case in _CALLABLES])
  def test_says_what_is_returned(self, name):
    (function, text), *_ = [case[1:] for case in _CALLABLES if case[0] == name]
    if text.startswith('Returns'):
      self.assertTrue(_section(text, 'Returns') or '\n' not in text)

  @parameterized.parameters(*_RAISING)
  def test_says_what_is_raised(self, name):
    (text,) = [case[2] for case in _CALLABLES if case[0] == name]
    self.assertRegex(_section(text, 'Raises') or '', r'(?m)^  \w+Error: ')

  def test_results_have_shapes(self):
    text = _section(inspect.getdoc(tfda.Attributions), 'Attributes')
    described = dict(
      re.findall(r'^  (\w+): ((?:.*\n?)(?:   .*\n?)*)', text, re.M)
    )
    fields = [field.name for field in dataclasses.fields(tfda.Attributions)]
    self.assertCountEqual(described, fields)
    for field in set(fields) - set(_NOT_ARRAYS):
      self.assertRegex(described[field], r'\[n|of (that|the same) shape', field)
    # Units are those of the output.
    self.assertIn('log-odds', inspect.getdoc(tfda.Attributions))


if __name__ == '__main__':
  absltest.main()
