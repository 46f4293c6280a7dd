"""However a run ends, its exit code says so and no half-made file is left."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tests.support import network_export
from tests.support import numpy_network
import tf_dnn_annotations as tfda

_ROOT = str(pathlib.Path(tfda.__file__).resolve().parents[1])

# Starts the command in children of one process, since it takes TensorFlow
# seconds to load, and sends each a signal. A case is a JSON object of
# `arguments`, `signal` (0: none) and `delay`, from when it is handled on.
_STARTER = """
import json, os, signal, sys, time
from tf_dnn_annotations.cli import attribute_command, main


def run(arguments):
  # A process in the background ignores SIGINT, and one under nohup SIGHUP.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  signal.signal(signal.SIGHUP, signal.SIG_DFL)
  os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
  os.dup2(os.open('stderr', os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
  sys.argv[1:] = arguments
  try:
    main.run()
  except SystemExit as end:
    os._exit(end.code or 0)
  finally:
    os._exit(99)


def has_handlers(child):
  # That of SIGHUP is the last one.
  with open('/proc/%d/status' % child) as file:
    caught = next(line for line in file if line.startswith('SigCgt')).split()[1]
  return int(caught, 16) >> (signal.SIGHUP - 1) & 1


for case in json.load(sys.stdin):
  child = os.fork()
  if not child:
    run(case['arguments'])
  deadline = time.monotonic() + 120
  while not has_handlers(child) and time.monotonic() < deadline:
    time.sleep(0.002)
  time.sleep(case['delay'])
  if case['signal']:
    os.kill(child, case['signal'])
  status, deadline = None, time.monotonic() + 120
  while status is None:
    found, status = os.waitpid(child, os.WNOHANG)
    if not found:
      status = None
      if time.monotonic() > deadline:
        os.kill(child, signal.SIGKILL)
      time.sleep(0.002)
  code = os.WEXITSTATUS(status)
  if not os.WIFEXITED(status):
    code = -os.WTERMSIG(status)
  outputs = [name for name in os.listdir('.') if name.startswith('o.')]
  num_lines = []
  for name in outputs:
    with open(name, 'rb') as file:
      num_lines.append(file.read().count(b'\\n'))
    os.remove(name)
  with open('stderr') as file:
    stderr = file.read()
  print(json.dumps([code, outputs, num_lines, stderr]), flush=True)
"""

_ENDS = {
  signal.SIGINT: (130, 'interrupted'),
  signal.SIGTERM: (143, 'interrupted by SIGTERM'),
  signal.SIGHUP: (129, 'interrupted by SIGHUP'),
}


class RunEndsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    network = numpy_network.Network(
      [(np.ones((2, 3)), np.zeros(3)), (np.ones((3, 1)), np.zeros(1))]
    )
    columns = [tf.feature_column.numeric_column(name) for name in 'ab']
    cls._export_dir = network_export.export(network, columns)

  def setUp(self):
    super().setUp()
    self.dir = directories.new_dir()
    path = [_ROOT] + list(filter(None, [os.getenv('PYTHONPATH')]))
    self._env = dict(os.environ, PYTHONPATH=os.pathsep.join(path))
    self._write('x.csv', 'id,a,b\n' + '7,1,2\n' * 300)

  def _write(self, name, text):
    with open(os.path.join(self.dir, name), 'w') as file:
      file.write(text)

  def _ends(self, cases):
    """Returns a list of (case, exit code, outputs, line counts, stderr)."""
    result = subprocess.run(
      [sys.executable, '-c', _STARTER],
      cwd=self.dir,
      env=self._env,
      input=json.dumps(cases),
      stdout=subprocess.PIPE,
      universal_newlines=True,
      check=True,
    )
    ends = [json.loads(line) for line in result.stdout.splitlines()]
    self.assertLen(ends, len(cases))
    return [(case, *end) for case, end in zip(cases, ends)]

  def _case(self, output, number=0, delay=0.0):
    arguments = ['attribute', self._export_dir, '--examples=x.csv']
    arguments += [f'--output={output}', '--batch_size=64']
    return dict(arguments=arguments, signal=number, delay=delay)

  def _cases(self, count, most_delay):
    seeded = random.Random(0)
    numbers = [signal.SIGINT] * 3 + [signal.SIGTERM, signal.SIGHUP]
    outputs = ['o.csv', 'o.jsonl', 'o.csv.gz', 'o.jsonl.gz']
    return [
      self._case(outputs[i % 4], numbers[i % 5], seeded.uniform(0, most_delay))
      for i in range(count)
    ]

  def test_no_signal_is_lost(self):
    # So long that a run has not ended by itself before it is given up.
    self._write('x.csv', 'a,b\n' + '1,2\n' * 2000000)
    for case, code, outputs, _, stderr in self._ends(self._cases(20, 0.5)):
      expected_code, words = _ENDS[case['signal']]
      self.assertEqual(code, expected_code, f'{case}: {stderr}')
      self.assertEqual(stderr, f'tf_dnn_annotations: {words}\n')
      self.assertEmpty(outputs)

  def test_a_run_has_its_file_or_was_interrupted(self):
    ends = self._ends(self._cases(20, 0.3) + [self._case('o.csv')])
    for case, code, outputs, num_lines, stderr in ends:
      if code:
        self.assertEqual(code, _ENDS[case['signal']][0], f'{case}: {stderr}')
        self.assertEmpty(outputs)
      else:
        self.assertLen(outputs, 1)
        if outputs == ['o.csv']:
          self.assertEqual(num_lines, [301])
    self.assertEqual(ends[-1][1], 0, ends[-1])

  def test_a_signal_ends_a_call_into_c_and_a_second_cleaning_up(self):
    program = """
import hashlib, time
from tf_dnn_annotations.system import interrupts

def clean(number):
  print('cleaning', flush=True)
  time.sleep(1000)

interrupts.install(clean)
print('ready', flush=True)
hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)  # Takes minutes.
"""
    process = subprocess.Popen(
      [sys.executable, '-c', program],
      cwd=self.dir,
      env=self._env,
      stdout=subprocess.PIPE,
      preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    self.addCleanup(process.stdout.close)
    self.addCleanup(process.kill)
    for line in (b'ready\n', b'cleaning\n'):
      self.assertEqual(process.stdout.readline(), line)
      self.assertIsNone(process.poll())
      process.send_signal(signal.SIGINT)
    self.assertEqual(process.wait(timeout=120), 130)

  def _run(self, *arguments, redirected='', is_unbuffered=False):
    """Runs the command; returns its exit code.

    Args:
      *arguments: of the command.
      redirected: redirections of a shell, in which 0 is a pipe that is broken.
      is_unbuffered: whether Python writes at once.
    """
    env = dict(self._env, PYTHONUNBUFFERED='1' if is_unbuffered else '')
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
      return subprocess.call(
        ['sh', '-c', f'exec "$@" {redirected}', 'sh']
        + [sys.executable, '-m', 'tf_dnn_annotations', *arguments],
        cwd=self.dir,
        env=env,
        stdin=write_end,
      )
    finally:
      os.close(write_end)

  @parameterized.parameters(
    '<&- >&- 2>&-',
    # There is a note, of the column that is not used.
    '>&0 2>&0',
  )
  def test_who_does_not_listen_gets_the_whole_file(self, redirected):
    arguments = self._case('o.csv')['arguments']
    self.assertEqual(self._run(*arguments, redirected=redirected), 0)
    with open(os.path.join(self.dir, 'o.csv')) as file:
      lines = file.readlines()
    self.assertLen(lines, 301)
    self.assertStartsWith(lines[0], 'row,')
    self.assertCountEqual(os.listdir(self.dir), ['x.csv', 'o.csv'])

  @parameterized.parameters(True, False)
  def test_inspect_for_who_has_read_enough(self, is_unbuffered):
    self.assertEqual(
      self._run(
        *('inspect', self._export_dir),
        redirected='>&0 2>stderr',
        is_unbuffered=is_unbuffered,
      ),
      0,
    )
    with open(os.path.join(self.dir, 'stderr')) as file:
      self.assertEqual(file.read(), '')

  @parameterized.parameters(
    (['--help'], '>&0', 0),
    (['--version'], '>&-', 0),
    (['attribute'], '2>&-', 2),
    (['attribute'], '2>&0', 2),
  )
  def test_help_and_usage_errors_for_nobody(self, arguments, redirected, code):
    for is_unbuffered in (True, False):
      self.assertEqual(
        self._run(
          *arguments, redirected=redirected, is_unbuffered=is_unbuffered
        ),
        code,
      )

  def test_a_full_disk_is_an_error(self):
    code = self._run('--help', redirected='>/dev/full 2>stderr')
    self.assertEqual(code, 1)
    with open(os.path.join(self.dir, 'stderr')) as file:
      self.assertRegex(
        file.read(), '^.*error: standard output cannot .* elsewhere.\n$'
      )


if __name__ == '__main__':
  absltest.main()
