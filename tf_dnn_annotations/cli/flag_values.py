"""The types of flags' values: functions from the text of a flag to its value.

Each raises `argparse.ArgumentTypeError` on a text that does not fit.
"""

import argparse
import re

from tf_dnn_annotations.results import files


def output_path(text):
  """Returns a path whose extension names a format."""
  try:
    files.check_path(text)
  except ValueError as error:
    raise argparse.ArgumentTypeError(str(error)) from error
  return text


def positive_number(text):
  """Returns a finite float above 0."""
  try:
    value = float(text)
  except ValueError:
    value = 0.0
  if not 0 < value < float('inf'):
    raise argparse.ArgumentTypeError(f'must be a number above 0; got {text!r}')
  return value


def whole_number(text):
  """Returns an int of at least 0."""
  if not re.fullmatch('[0-9]+', text):
    raise argparse.ArgumentTypeError(
      f'must be a whole number from 0 up; got {text!r}'
    )
  return int(text)


def positive_int(text):
  """Returns an int of at least 1."""
  try:
    value = int(text)
  except ValueError:
    value = 0
  if value < 1:
    raise argparse.ArgumentTypeError(
      f'must be a whole number from 1 up; got {text!r}'
    )
  return value


def key(text):
  """Returns the key of a feature, which is not empty."""
  if not text.strip():
    raise argparse.ArgumentTypeError(
      f'must be a feature or a CSV column; got {text!r}'
    )
  return text.strip()
