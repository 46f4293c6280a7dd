"""What the reader says of a SavedModel: its words and its numbers."""

import ast
import collections
import contextlib
import io
import json
import linecache
import os
import re
import sys
import tempfile
import traceback
import warnings

import numpy as np
import tensorflow.compat.v1 as tf

import tf_dnn_annotations as tfda
from tf_dnn_annotations.cli import flags
from tf_dnn_annotations.cli import main
from tf_dnn_annotations.cli import messages

# From good to bad. 'not judged' is what plain TensorFlow cannot confirm.
RIGHT, ERROR, NOT_JUDGED, RAW, WRONG = VERDICTS = (
  'right',
  'one-line error',
  'not judged',
  'raw error',
  'silently wrong',
)
# Of the midpoint rule, and the value of all elements of its baseline.
NUM_STEPS, CONSTANT = 32, 0.25

_PACKAGE = os.path.dirname(os.path.abspath(tfda.__file__)) + os.sep
_OWN_TYPES = (ValueError, TypeError, OSError)
# A terminal does more than show these.
_CONTROL = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]')
# The same in JSON.
_ODD = re.compile(r'\\[^"\\]|[^\n -~]')
# What TensorFlow's libraries log. The command would silence them if it were to
# load TensorFlow itself.
_LOG_LINE = re.compile(r'\d{4}-\d\d-\d\d [\d:.]+: [IWE] |\[libprotobuf [A-Z]+ ')
_ERROR_LINE = re.compile(messages.PROGRAM + r' \w+: error: (.*)')


class Outcome(collections.namedtuple('Outcome', ['verdict', 'reason'])):
  """A verdict, and why."""

  __slots__ = ()


class Result(
  collections.namedtuple('Result', ['attributions', 'by_feature', 'notices'])
):
  """Attributions in one setting.

  Attributes:
    attributions: `Attributions`.
    by_feature: what its `per_feature` returned.
    notices: list of str, the warnings of ours that something may be wrong.
  """

  __slots__ = ()


class Report(object):
  """What the reader said.

  Attributes:
    told: what `inspect --json` printed, parsed; None if it failed.
    results: {setting: `Result`}.
    elements: list of {element's name: attribution}, a row each, of the command
      `attribute --by=element`; None if it failed or was not run.
    outcomes: list of `Outcome` of what failed.
  """

  def __init__(self):
    self.told, self.elements = None, None
    self.results, self.outcomes = {}, []

  def facts(self):
    """Returns what of `told` the graph can confirm or contradict."""
    return self.told and {
      'kind': self.told['kind'],
      'labels': self.told['labels'],
      'num_outputs': self.told['num_outputs'],
      'columns': {
        c['name']: (tuple(c['feature_keys']), c['width'])
        for c in self.told['columns']
      },
      'features': {
        f['key']: (f['dtype'], f['is_sparse']) for f in self.told['features']
      },
    }


def report(export_dir, base):
  """Runs the commands and the API on a SavedModel.

  Args:
    export_dir: its directory.
    base: `bases.Base`, whose rows are explained.

  Returns:
    `Report`.
  """
  found = Report()
  with warnings.catch_warnings(), tempfile.TemporaryDirectory() as directory:
    is_done, stdout = _command(found, 'inspect', export_dir, '--json')
    if is_done:
      found.told = json.loads(stdout)
      if _ODD.search(stdout):  # As a person would see it.
        _command(found, 'inspect', export_dir)
    _attribute(found, export_dir, base)
    if is_done and 'default' in found.results:
      _by_element(found, export_dir, base, directory)
  return found


# The settings in which rows are explained: (model, base) to arguments.


def _raw_examples(base):
  """Returns the rows as a dict of raw features."""
  return dict(base.rows)


def _against_first(model, base):
  rows = _raw_examples(base)
  return {
    'examples': rows,
    'baselines': {key: values[:1] for key, values in rows.items()},
    'targets': model.num_outputs - 1,
    'output': 'probabilities' if model.kind == 'classifier' else 'logits',
  }


def _against_constant(model, base):
  return {
    'examples': base.examples,
    'baselines': tfda.ColumnValues(
      {column.name: [CONSTANT] * column.width for column in model.columns}
    ),
    'targets': 0,
    'method': 'midpoint',
    'num_steps': NUM_STEPS,
  }


def _default(model, base):
  arguments = {'examples': base.examples}
  if model.kind == 'regressor' and model.num_outputs > 1:
    arguments['targets'] = 1
  return arguments


SETTINGS = {
  'default': _default,
  'against_first': _against_first,
  'against_constant': _against_constant,
}


def _attribute(found, export_dir, base):
  try:
    ig = tfda.IntegratedGradients(export_dir)
  except Exception as error:
    found.outcomes.append(_of_error(error))
    return
  with ig:
    for setting, arguments_fn in SETTINGS.items():
      with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        try:
          attributions = ig.attribute(**arguments_fn(ig.model, base))
          by_feature = attributions.per_feature()
        except Exception as error:
          found.outcomes.append(_of_error(error))
          continue
      notices = [str(w.message) for w in caught if _is_notice(w)]
      found.results[setting] = Result(attributions, by_feature, notices)


def _is_notice(warning):
  """Whether a warning is ours and doubts the numbers."""
  if warning.category.__name__ == 'NearBaseline':
    return False
  is_ours = warning.category.__module__.startswith(tfda.__name__)
  # Those of numpy and TensorFlow name no argument.
  return is_ours or '`' in str(warning.message)


def _of_error(error):
  """Returns the `Outcome` of an exception: whether it is one of ours."""
  text = f'{type(error).__name__}: {error}'
  lines = text.splitlines()
  is_ours = isinstance(error, _OWN_TYPES) and _was_raised_here(error)
  if not is_ours:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f.filename.startswith(_PACKAGE)]
    where = ours[-1].name if ours else '?'
    return Outcome(RAW, f'API, in {where}: {lines[0]}')
  if _CONTROL.search(text.replace('\n', '')):
    return Outcome(RAW, f'API, control characters: {text!r}')
  return Outcome(ERROR, lines[0])


def _was_raised_here(error):
  """Whether a `raise` statement of the package raised an exception."""
  frame = traceback.extract_tb(error.__traceback__)[-1]
  if not frame.filename.startswith(_PACKAGE):
    return False
  tree = ast.parse(''.join(linecache.getlines(frame.filename)))
  # A statement ends before the next begins. Python 3.7 knows no ends.
  lines = sorted(
    (node.lineno, isinstance(node, ast.Raise))
    for node in ast.walk(tree)
    if isinstance(node, ast.stmt)
  )
  return [is_raise for line, is_raise in lines if line <= frame.lineno][-1]


# The commands.


def _by_element(found, export_dir, base, directory):
  """Runs `attribute --by=element`."""
  examples = os.path.join(directory, 'examples.tfrecord')
  output = os.path.join(directory, 'output.jsonl')
  with tf.io.TFRecordWriter(examples) as writer:
    for example in base.examples:
      writer.write(example)
  arguments = ['--by=element', f'--examples={examples}', f'--output={output}']
  told = found.told
  if told['kind'] == 'regressor' and told['num_outputs'] > 1:
    arguments.append('--targets=1')
  is_done, _ = _command(found, 'attribute', export_dir, *arguments)
  if not is_done:
    return
  with open(output, encoding='utf-8') as file:
    lines = file.read().splitlines()  # As those do that know more line ends.
  try:
    found.elements = [json.loads(line)['attributions'] for line in lines]
  except ValueError:
    found.outcomes.append(Outcome(RAW, 'a row of JSON lines is not one line'))


def _command(found, *arguments):
  """Runs a command in this process; notes how it failed.

  Returns:
    (whether it was done, stdout).
  """
  with _captured() as streams:
    with warnings.catch_warnings():
      try:
        namespace = flags.parsed([messages.PROGRAM, *arguments])
        code = main.main(namespace)
      except SystemExit as error:
        code = error.code
      except Exception as error:
        code = repr(error)
  stdout, stderr = streams
  outcome = _of_command(code, stdout, stderr, '--json' in arguments)
  if outcome is not None:
    found.outcomes.append(outcome)
  return code == 0, stdout


def _of_command(code, stdout, stderr, is_json):
  """Returns the `Outcome` of a command that failed, else None."""
  stderr = ''.join(
    line
    for line in stderr.splitlines(keepends=True)
    if not _LOG_LINE.match(line)
  )
  text = stderr if is_json else stdout + stderr
  if 'Traceback (most recent' in stderr:
    return Outcome(RAW, f'command: traceback: {stderr[-300:]}')
  lines = [line for line in stderr.splitlines() if line.strip()]
  # Of the model's text, whatever the exit code.
  shown = _CONTROL.search(text)
  if shown:
    return Outcome(RAW, f'command: shows {shown.group()!r}')
  if code == 0:
    return None
  match = _ERROR_LINE.match(lines[0]) if lines else None
  if code != 1 or not match or sum(': error: ' in x for x in lines) != 1:
    return Outcome(RAW, f'command: exit code {code}: {stderr[:300]!r}')
  if re.match(r'\w*(Error|Exception|Exit|Found)\w*: ', match.group(1)):
    return Outcome(RAW, f'command: {lines[0]}')
  return Outcome(ERROR, lines[0])


@contextlib.contextmanager
def _captured():
  """Catches what this process writes, Python or not.

  Yields:
    A list, empty until the end, and then of stdout and stderr as str.
  """
  kept = sys.stdout, sys.stderr
  descriptors = os.dup(1), os.dup(2)
  files = tempfile.TemporaryFile(), tempfile.TemporaryFile()
  streams = []
  try:
    for number, file in zip((1, 2), files):
      os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (
      io.TextIOWrapper(
        io.FileIO(number, 'w', closefd=False),
        'utf-8',
        'backslashreplace',
        line_buffering=True,
      )
      for number in (1, 2)
    )
    yield streams
  finally:
    for stream in (sys.stdout, sys.stderr):
      stream.flush()
    sys.stdout, sys.stderr = kept
    for number, descriptor, file in zip((1, 2), descriptors, files):
      os.dup2(descriptor, number)
      os.close(descriptor)
      file.seek(0)
      streams.append(file.read().decode('utf-8', 'backslashreplace'))
      file.close()


def side_by_side(values):
  """Returns {name: [n, width]} as [n, width of all]."""
  return np.concatenate([values[name] for name in values], axis=-1)
