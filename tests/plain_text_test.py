"""Text of a model acts on no terminal, in no table and as no second line."""

import csv
import io
import json
import os
import unicodedata

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import command
from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
from tests.support import saved_model_files
from tf_dnn_annotations.text import plain_text

# Colors, clears, overwrites the line, sets the title, turns the text, and ends
# the line.
_HOSTILE = '=\x1b[2J\r\x9b1A\x1b]0;owned\x07\u202elive\u2066\nnote: all is well'
# TensorFlow makes names of its own from that of a feature, so the hostile one
# is put into the SavedModel in place of the other.
_KEY, _HOSTILE_KEY = 'key_to_exchange', '=\x9b2J\u202ex\u2028note: all is well'
_LABELS = [_HOSTILE, '@x\u2028', 'größe \N{SMILING FACE WITH SUNGLASSES}']


def _with_hostile_key(meta_graph):
  """Exchanges the feature's key wherever a SavedModel has it but in names."""
  old, new = _KEY.encode(), _HOSTILE_KEY.encode()
  for node in meta_graph.graph_def.node:
    if node.op == 'Const':
      strings = node.attr['value'].tensor.string_val
      strings[:] = [new if value == old else value for value in strings]
  for name, collection in meta_graph.collection_def.items():
    values = collection.bytes_list.value
    for i, value in enumerate(values):
      if name.endswith('_features/keys') or 'feature_col' in name:
        values[i] = value.replace(old, new)
  for signature in meta_graph.signature_def.values():
    for tensors in (signature.inputs, signature.outputs):
      for key in [key for key in tensors if _KEY in key]:
        tensors[key.replace(_KEY, _HOSTILE_KEY)].CopyFrom(tensors[key])
        del tensors[key]


def _unseen(text):
  """Returns the characters of a text that Unicode gives no shape."""
  return {c for c in text if unicodedata.category(c) in ('Cc', 'Cf', 'Cs')}


class PlainTextTest(parameterized.TestCase):
  def test_every_unseen_character_is_escaped(self):
    zero_width_joiners = {'\u200c', '\u200d'}
    for code in range(0x110000):
      character = chr(code)
      category = unicodedata.category(character)
      is_unseen = category in ('Cc', 'Cs', 'Zl', 'Zp') or (
        category == 'Cf' and character not in zero_width_joiners
      )
      if is_unseen:
        escape = plain_text.escaped(character)
        self.assertRegex(escape, r'^\\(x..|u....|U........|[nrt])$', hex(code))
        self.assertEqual(
          escape.encode('ascii').decode('unicode_escape'), character
        )
        in_json = json.dumps(character, ensure_ascii=False)
        if category != 'Cs':  # What a file replaces.
          self.assertTrue(plain_text.json_text(in_json).isascii(), hex(code))
        self.assertEqual(json.loads(plain_text.json_text(in_json)), character)

  @parameterized.parameters('größe', '日本', '\N{THUMBS UP SIGN}', 'a\\x1b "b"')
  def test_what_is_seen_is_left(self, text):
    for fn in (plain_text.escaped, plain_text.escaped_lines):
      self.assertEqual(fn(text), text)
    self.assertEqual(plain_text.json_text(f'"{text}"'), f'"{text}"')

  def test_lines(self):
    self.assertEqual(plain_text.escaped_lines('a\nb\x1b\r'), 'a\nb\\x1b\\r')
    self.assertEqual(plain_text.escaped('a\nb\x1b\r'), 'a\\nb\\x1b\\r')
    indented = json.dumps({'a': '\u2028'}, indent=2, ensure_ascii=False)
    self.assertEqual(plain_text.json_text(indented), '{\n  "a": "\\u2028"\n}')


class HostileModelTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    network = numpy_network.Network(
      [(np.ones((3, 3)), np.zeros(3)), (np.ones((3, 3)), np.arange(3.0))]
    )
    columns = [
      tf.feature_column.numeric_column('age'),
      tf.feature_column.indicator_column(
        tf.feature_column.categorical_column_with_vocabulary_list(
          _KEY, ['a', _HOSTILE]
        )
      ),
    ]
    cls._export_dir = saved_model_files.edited_copy(
      network_export.export(network, columns, label_vocabulary=_LABELS),
      _with_hostile_key,
    )

  def setUp(self):
    super().setUp()
    self.dir = directories.new_dir()

  def _run(self, *words, expected_code=0):
    """Runs the command in this process; returns (stdout, stderr)."""
    code, stdout, stderr = command.run(*words)
    self.assertEqual(code, expected_code, stderr)
    return stdout, stderr

  def _attribute(self, *arguments, output='o.jsonl', expected_code=0):
    return self._run(
      *('attribute', self._export_dir, '--examples=' + self._path('x.csv')),
      *('--output=' + self._path(output), *arguments),
      expected_code=expected_code,
    )

  def _path(self, name):
    return os.path.join(self.dir, name)

  def _write(self, header, row):
    with open(self._path('x.csv'), 'w', newline='', encoding='utf-8') as file:
      file.write(f'{header}\n{row}\n')

  def test_inspect(self):
    stdout, _ = self._run('inspect', self._export_dir)
    self.assertEqual(_unseen(stdout), {'\n'})
    self.assertIn(plain_text.escaped(_HOSTILE_KEY), stdout)
    self.assertNotIn('\nnote', stdout)

  def test_inspect_as_json(self):
    stdout, _ = self._run('inspect', self._export_dir, '--json')
    self.assertEqual(_unseen(stdout), {'\n'})
    model = json.loads(stdout)
    self.assertEqual(model['labels'], _LABELS)
    self.assertIn(
      _HOSTILE_KEY, [feature['key'] for feature in model['features']]
    )
    # Line feeds only where `indent` puts them.
    self.assertEqual(stdout.splitlines(), stdout.rstrip('\n').split('\n'))

  @parameterized.parameters('o.jsonl', 'o.csv')
  def test_attribute(self, output):
    self._write(f'age,{_HOSTILE_KEY},\x1b[2Jid', '1,,2')
    stdout, stderr = self._attribute(
      '--targets=all', '--by=element', output=output
    )
    for text in (stdout, stderr):
      self.assertEqual(_unseen(text), {'\n'})
    self.assertIn(plain_text.escaped(_HOSTILE_KEY), stdout)
    self.assertIn('note: ', stderr)
    self.assertNotIn('\nnote: all', stdout + stderr)
    with open(self._path(output), encoding='utf-8', newline='') as file:
      text = file.read()
    if output == 'o.jsonl':
      self.assertLen(text.splitlines(), 3)
      self.assertEqual(_unseen(text), {'\n'})
      targets = [json.loads(line)['target'] for line in text.splitlines()]
      self.assertEqual(targets, _LABELS)
    else:
      _, *rows = csv.reader(io.StringIO(text, newline=''))
      targets = [row[1] for row in rows]
      self.assertEqual(
        targets, ["'" + _LABELS[0], "'" + _LABELS[1], _LABELS[2]]
      )

  def test_errors(self):
    header = f'age,{_HOSTILE_KEY}'
    self._write(header, '\x1b[2J,')
    _, stderr = self._attribute(expected_code=1)
    self.assertEqual(_unseen(stderr), {'\n'})
    self.assertLen(stderr.splitlines(), 1)
    self._write(header, '1,')
    _, stderr = self._attribute('--targets=\x1b[2J', expected_code=1)
    self.assertEqual(_unseen(stderr), {'\n'})
    self.assertLen(stderr.splitlines(), 1)


if __name__ == '__main__':
  absltest.main()
