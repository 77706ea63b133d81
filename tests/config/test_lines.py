"""Lines: every key of a TOML text is found where it stands."""

from __future__ import annotations

import tomllib

from config.lines import key_lines, line_of

TEXT = """\
# comment with [brackets] and = signs
title = "a # b [c]"

[node]
port = 1 # [not.a.table]
text = \"\"\"
[not.a.table]
key = 1 \\\"\"\"
\"\"\"
raw = '''
x = 1'''
list = [ # comment ]
  "]", 'a=1',
  [1, 2],
]
"quoted key" = {a = 1, b = [1]}
dotted.inner."x.y" = 1

[[peers]]
name = "a"
[peers.more]
deep = 1
[[peers]]
name = "b"
[[peers.sub]]
x = 1
[[peers.sub]]
x = 2
[last]
"""


def test_keys_are_found_on_their_lines():
    """Strings over many lines, lists, comments, quoted and dotted keys and arrays of tables are seen through."""
    tomllib.loads(TEXT)
    assert key_lines(TEXT) == {
        ("title",): 2,
        ("node",): 4,
        ("node", "port"): 5,
        ("node", "text"): 6,
        ("node", "raw"): 10,
        ("node", "list"): 12,
        ("node", "quoted key"): 16,
        ("node", "dotted"): 17,
        ("node", "dotted", "inner"): 17,
        ("node", "dotted", "inner", "x.y"): 17,
        ("peers",): 19,
        ("peers", 0): 19,
        ("peers", 0, "name"): 20,
        ("peers", 0, "more"): 21,
        ("peers", 0, "more", "deep"): 22,
        ("peers", 1): 23,
        ("peers", 1, "name"): 24,
        ("peers", 1, "sub"): 25,
        ("peers", 1, "sub", 0): 25,
        ("peers", 1, "sub", 0, "x"): 26,
        ("peers", 1, "sub", 1): 27,
        ("peers", 1, "sub", 1, "x"): 28,
        ("last",): 29,
    }


def test_windows_line_ends_and_a_missing_last_one_change_nothing():
    """Lines are counted alike however the file was written."""
    assert key_lines(TEXT.replace("\n", "\r\n")) == key_lines(TEXT) == key_lines(TEXT.rstrip("\n"))


def test_what_has_no_line_gets_its_parents():
    """An element of a list, or a key in an inline table, stands where its key does."""
    lines = key_lines(TEXT)
    assert line_of(("node", "list", 2, 1), lines) == 12
    assert line_of(("peers", 1, "nothing"), lines) == 23
    assert line_of(("nothing",), lines) is None


def test_the_scanner_ends_on_any_text():
    """A text that is no TOML is scanned to its end: the scanner never hangs, whatever it is given."""
    for text in ("", "=", "[", "[[", "a", 'a = "', "a = ]]", "\x00", "a.", "]"):
        key_lines(text)
