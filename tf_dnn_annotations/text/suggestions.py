"""Suggestions for misspelt words."""

import difflib
import inspect
from typing import Any, Callable, TypeVar

_Function = TypeVar('_Function', bound=Callable[..., Any])


def closest(word, known):
  """Returns the known word that is most like `word`, or None.

  Args:
    word: str.
    known: iterable of str.
  """
  close = difflib.get_close_matches(word, list(known), n=1)
  return close[0] if close else None


def did_you_mean(word, known):
  """Returns ' Did you mean ...?' to end a message with; '' if nothing fits.

  Args:
    word: the given value; only a str can be misspelt.
    known: iterable of str.
  """
  found = closest(word, known) if isinstance(word, str) else None
  return '' if found is None else f' Did you mean {found!r}?'


def takes_unknown(function: _Function) -> _Function:
  """Decorates a function that refuses unknown arguments with a suggestion.

  Such a function has a last parameter `**unknown`, which it passes to
  `refuse_unknown`. The signature that is shown has only the real arguments. A
  wrapper would be simpler, but warnings would name it as their source.
  """
  signature = inspect.signature(function)
  parameters = [
    parameter
    for parameter in signature.parameters.values()
    if parameter.kind is not parameter.VAR_KEYWORD
  ]
  function.__signature__ = signature.replace(  # type: ignore[attr-defined]
    parameters=parameters
  )
  return function


def refuse_unknown(function, arguments):
  """Raises TypeError at the first argument that a bound method lacks."""
  if not arguments:
    return
  known = list(inspect.signature(function).parameters)
  for name in arguments:
    if name not in known:
      raise TypeError(
        f'{function.__name__}() has no argument {name!r}.'
        + (did_you_mean(name, known) or f' It takes {", ".join(known)}.')
      )
