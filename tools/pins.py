"""Compiles requirements/*.in to the pinned versions in requirements/*.txt.

    make pins                                    # after a change of an *.in
    make pins PINS='--upgrade-package pytest'    # a newer version of one
    make pins PINS=--upgrade                     # newer versions of all

A pin stays as it is while it fits. It is for every platform and for every
Python from the one that is given here on. `--list` prints the names of the
files.
"""

import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).absolute().parents[1]

# {name of a file: oldest Python that it is for}. A file comes after those that
# its *.in reads.
_PYTHONS = {
  'tf215': '3.9.2',
  'tf215-test': '3.9.2',
  'tf115': '3.7.16',
  'tf211': '3.10',
  'tf216': '3.11',
  'tf221': '3.12',
  'modern': '3.12',
  'modern-test': '3.12',
  'docs': '3.11',
  'pins': '3.9.2',
}
# tf_keras requires `tensorflow`, even beside a `tensorflow-cpu`. In these
# files, the requirements of an *.in override those of packages.
_OVERRIDDEN = ('tf216', 'modern')


def main(arguments):
  if arguments == ['--list']:
    print(*_PYTHONS, sep='\n')
    return
  for name, python in _PYTHONS.items():
    command = [
      *(sys.executable, '-m', 'uv', 'pip', 'compile', '--quiet'),
      *('--universal', '--fork-strategy', 'fewest'),
      *('--python-version', python, '--no-annotate'),
      *('--custom-compile-command', 'make pins'),
      *(f'{name}.in', '--output-file', f'{name}.txt'),
    ]
    if name in _OVERRIDDEN:
      command += ['--overrides', f'{name}.in']
    print(f'requirements/{name}.txt', flush=True)
    subprocess.run(
      command + arguments, cwd=str(_ROOT / 'requirements'), check=True
    )


if __name__ == '__main__':
  main(sys.argv[1:])
