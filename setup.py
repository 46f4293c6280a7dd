"""Builds the C library of tf_dnn_annotations; all else is in pyproject.toml."""

import os

import setuptools
from setuptools.command import build_ext

try:
  from setuptools.command import bdist_wheel
except ImportError:  # Before setuptools 70.1, `wheel` had it.
  try:
    from wheel import bdist_wheel
  except ImportError:
    bdist_wheel = None

_LIBRARY = 'tf_dnn_annotations.integrals._path_sweep'


class _BuildLibrary(build_ext.build_ext):
  """Builds a library that ctypes loads, which is the same for every Python."""

  def get_ext_filename(self, fullname):
    return os.path.join(*fullname.split('.')) + '.so'

  def build_extension(self, ext):
    try:
      super().build_extension(ext)
    except BaseException:
      # The library of an earlier build must not pass for that of this build.
      path = self.get_ext_fullpath(ext.name)
      if os.path.exists(path):
        os.remove(path)
      raise

  def is_built(self):
    """Returns whether the library, which is optional, was built."""
    return os.path.exists(self.get_ext_fullpath(_LIBRARY))


_COMMANDS = {'build_ext': _BuildLibrary}
if bdist_wheel is not None:

  class _Wheel(bdist_wheel.bdist_wheel):
    """A wheel for any Python 3 and for the platform of its library."""

    def run(self):
      # Only after the build is it known whether there is a compiler.
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
  # In place of pyproject.toml's, of whose two forms no setuptools reads both
  # without complaint.
  license='Apache-2.0',
  ext_modules=[
    setuptools.Extension(
      _LIBRARY,
      ['tf_dnn_annotations/integrals/path_sweep.c'],
      depends=['tf_dnn_annotations/integrals/path_sweep_body.h'],
      # Vector instructions may be used; nothing depends on floating-point
      # traps.
      extra_compile_args=['-O3', '-fno-math-errno', '-fno-trapping-math'],
      # Without a C compiler, numpy computes the same, more slowly.
      optional=True,
    )
  ],
  cmdclass=_COMMANDS,
)
