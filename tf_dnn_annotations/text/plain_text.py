"""Text of a model or an input, made harmless for what it is shown or read in.

Labels, names of columns and features, and messages that quote them come from
whoever wrote the SavedModel. In a terminal a control character can rewrite what
was printed before, a spreadsheet runs a cell that begins like a formula, and
some readers of JSON lines break a line at more characters than the line feed.
"""

import re

# Control characters (C0, DEL, C1), what cannot be seen or turns the direction
# of text (Unicode's Cf, less U+200C and U+200D, which scripts and emoji need),
# separators of lines and paragraphs, and halves of surrogate pairs.
_UNSEEN = (
  '\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f'
  '\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb'
  '\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3'
  '\U0001d173-\U0001d17a\U000e0000-\U000e007f'
)
_NOT_SHOWN = re.compile(f'[\x00-\x1f{_UNSEEN}\ud800-\udfff]')
_NOT_SHOWN_IN_LINES = re.compile(f'[\x00-\x09\x0b-\x1f{_UNSEEN}\ud800-\udfff]')
# JSON's own escapes took care of C0, and line feeds may stand between values.
_NOT_IN_JSON = re.compile(f'[{_UNSEEN}]')
# What a spreadsheet takes for the start of a formula, or skips before one. An
# apostrophe before it is covered too, so that `csv_cell` can be undone.
_FORMULA_START = re.compile("'*[=+\\-@\t\r\n]")


def escaped(text):
  """Returns `text` in one line, with what is not seen as escapes of Python.

  A line feed becomes \\n, an escape character \\x1b. Printable text is left as
  it is, backslashes too, so escaping twice changes nothing.
  """
  return _NOT_SHOWN.sub(_python_escape, text)


def escaped_lines(text):
  """Returns lines with the same escapes; line feeds stay."""
  return _NOT_SHOWN_IN_LINES.sub(_python_escape, text)


def _python_escape(match):
  return match.group().encode('unicode_escape').decode('ascii')


def json_text(text):
  """Returns the JSON text of a value with more of its characters escaped.

  The value is the same. What is not seen, and what some reader takes for the
  end of a line (U+0085, U+2028, U+2029; C0 is escaped in all JSON), becomes an
  escape of JSON.

  Args:
    text: what `json.dumps` returned.
  """
  # At once where there is nothing to look for, which is nearly always.
  if text.isascii() and '\x7f' not in text:
    return text
  return _NOT_IN_JSON.sub(_json_escape, text)


def _json_escape(match):
  code = ord(match.group())
  if code < 0x10000:
    return f'\\u{code:04x}'
  code -= 0x10000
  return f'\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}'


def csv_cell(text):
  """Returns a cell that no spreadsheet takes for a formula.

  Text that begins with = + - @, a tab or the end of a line gets an apostrophe
  before it, as does text that begins so after apostrophes. To undo it, take
  one apostrophe off each cell that begins with apostrophes and one of these.

  Source: OWASP, CSV Injection.
  """
  return "'" + text if _FORMULA_START.match(text) else text
