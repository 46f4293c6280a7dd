"""No number of a spoilt SavedModel is silently wrong; errors are ours.

A short run of the fuzzer, the same each time: see docs/fuzzing.md.
"""

import os
import pathlib
import re
import subprocess
import sys

from absl.testing import absltest
import pytest

from tests.support import directories

# Each mutant is read in processes of its own.
pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).absolute().parents[2]
_NUM_MUTANTS = 60


class FuzzTest(absltest.TestCase):
  def test_mutants_are_right_or_refused(self):
    path = [str(_ROOT)] + list(filter(None, [os.getenv('PYTHONPATH')]))
    # In a process that has run no TensorFlow, since it is forked.
    process = subprocess.run(
      [
        *(sys.executable, '-m', 'tests.properties.fuzz', '--seed=1'),
        f'--mutants={_NUM_MUTANTS}',
        f'--directory={directories.new_dir()}',
      ],
      env=dict(os.environ, PYTHONPATH=os.pathsep.join(path)),
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      encoding='utf-8',
    )
    self.assertRegex(process.stdout, rf'(?m)^{_NUM_MUTANTS} mutants of seed 1')
    bad = re.findall(
      '(?m)^(?:raw error|silently wrong|crash, ours alone): --seed.*\n.*',
      process.stdout,
    )
    self.assertEmpty(bad, '\n' + '\n'.join(bad))
    self.assertEqual(process.returncode, 0, process.stdout)


if __name__ == '__main__':
  absltest.main()
