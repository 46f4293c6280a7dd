"""Prepares docstrings for the API reference that `make docs` builds.

griffe takes the text before the first colon of "Returns:" for a type, and so
would cut "{feature key: float32 [n]}" in two. That section is prose here.
"""

import re
import textwrap

import griffe

_RETURNS = re.compile(r'^Returns:\n((?:[ ]+\S.*\n?|\n(?=[ ]))+)', re.MULTILINE)


class ReferenceDocstrings(griffe.Extension):
  """Turns "Returns:" into a paragraph of its own."""

  def on_instance(self, *, obj, **unused_kwargs):
    if obj.docstring:
      obj.docstring.value = _RETURNS.sub(_paragraph, obj.docstring.value)


def _paragraph(match):
  text = textwrap.dedent(match.group(1)).strip()
  return f'**Returns:** {text[:1].upper()}{text[1:]}\n'
