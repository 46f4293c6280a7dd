"""Packaging of tf_dnn_annotations; tool settings are in pyproject.toml."""

import os
import pathlib
import re

import setuptools
from setuptools.command import build_ext

try:
  from setuptools.command import bdist_wheel
except ImportError:  # Before setuptools 70.1 it was of another package.
  try:
    from wheel import bdist_wheel
  except ImportError:
    bdist_wheel = None

_HERE = pathlib.Path(__file__).resolve().parent


def _version():
  """Returns `__version__` without importing the package or what it needs."""
  text = (_HERE / 'tf_dnn_annotations' / '__init__.py').read_text('utf-8')
  return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def _tensorflow(distribution):
  """Returns the requirements on `distribution`, a name TensorFlow goes by.

  The last with tf.estimator where there is one for this Python. On a newer one
  the estimators need the extra `modern`, and readers need nothing more.
  """
  return [
    f'{distribution}>=1.15,<2.16; python_version < "3.12"',
    f'{distribution}>=2.16; python_version >= "3.12"',
  ]


_LIBRARY = 'tf_dnn_annotations.integrals._path_sweep'


class _BuildLibrary(build_ext.build_ext):
  """Builds a library that ctypes loads: the same for every Python."""

  def get_ext_filename(self, fullname):
    return os.path.join(*fullname.split('.')) + '.so'

  def build_extension(self, ext):
    try:
      super().build_extension(ext)
    except BaseException:
      # One that an earlier build left would be taken for this build's.
      path = self.get_ext_fullpath(ext.name)
      if os.path.exists(path):
        os.remove(path)
      raise

  def is_built(self):
    """Returns whether the library, which is optional, is there."""
    return os.path.exists(self.get_ext_fullpath(_LIBRARY))


_COMMANDS = {'build_ext': _BuildLibrary}
if bdist_wheel is not None:

  class _Wheel(bdist_wheel.bdist_wheel):
    """A wheel for any Python 3, and the platform that its library is for."""

    def run(self):
      # Only then is it known whether there is a compiler.
      self.run_command('build')
      if not self.get_finalized_command('build_ext').is_built():
        self.distribution.ext_modules = None
        self.root_is_pure = True
      super().run()

    def get_tag(self):
      platform = 'any' if self.root_is_pure else super().get_tag()[-1]
      return 'py3', 'none', platform

  _COMMANDS['bdist_wheel'] = _Wheel


setuptools.setup(
  name='tf_dnn_annotations',
  version=_version(),
  description=(
    "Drop-ins for tf.estimator's DNN estimators whose SavedModels carry layer "
    'annotations, and Integrated Gradients from such a SavedModel.'
  ),
  long_description=(_HERE / 'README.md').read_text('utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  packages=setuptools.find_packages(include=['tf_dnn_annotations*']),
  ext_modules=[
    setuptools.Extension(
      _LIBRARY,
      ['tf_dnn_annotations/integrals/path_sweep.c'],
      depends=['tf_dnn_annotations/integrals/path_sweep_body.h'],
      # Vector instructions may be used; nothing asks what they trap.
      extra_compile_args=['-O3', '-fno-math-errno', '-fno-trapping-math'],
      # Where there is no C compiler, numpy does the same, more slowly.
      optional=True,
    )
  ],
  cmdclass=_COMMANDS,
  python_requires='>=3.7',
  # TensorFlow is an extra: pip does not know that `tensorflow-cpu` or a
  # vendor's build provides `tensorflow`, and would install a second one over
  # the one that is there. protobuf comes with TensorFlow.
  install_requires=[
    'absl-py>=0.9',
    'numpy>=1.16',
    # Frozen for good at 2.15.0; TensorFlow asks for the one that fits it.
    'tensorflow-estimator>=1.15',
  ],
  extras_require={
    'tensorflow': _tensorflow('tensorflow'),
    'cpu': _tensorflow('tensorflow-cpu'),
    # tf.estimator on TensorFlow 2.16 and newer. tf_keras brings `tensorflow`:
    # the README has what to do beside a `tensorflow-cpu`.
    'modern': ['tensorflow-estimator==2.15.0', 'tf_keras>=2.16'],
    'progress': ['tqdm'],
    'test': [
      *('hypothesis', 'nox', 'pandas', 'pytest', 'pytest-xdist', 'ruff'),
      *('saliency', 'tqdm'),
    ],
  },
  entry_points={
    'console_scripts': ['tf_dnn_annotations = tf_dnn_annotations.cli.main:run'],
  },
  classifiers=[
    'Intended Audience :: Science/Research',
    'Programming Language :: Python :: 3',
    'Topic :: Scientific/Engineering :: Artificial Intelligence',
  ],
)
