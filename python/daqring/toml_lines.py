"""On which line of a TOML document a key stands: `tomllib` does not tell."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["KeyPath", "lines_of"]

#: Keys and indexes from the top of the document down.
KeyPath: TypeAlias = tuple[str | int, ...]


def lines_of(text: str) -> dict[KeyPath, int]:
    """The line, from 1 on, of every key, table and array element of a document that is TOML.

    Only documents that `tomllib` has accepted are given here: nothing is checked.
    """
    return _Scan(text.replace("\r\n", "\n") + "\n").run()


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[KeyPath, int] = {}
        #: How many elements each array of tables has until here.
        self._arrays: dict[KeyPath, int] = {}

    def run(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip_blank():
            if self._text.startswith("[[", self._at):
                self._at += 2
                table = self._inside(self._key(), array=True)
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._inside(self._key(), array=False)
            else:
                self._pair(table)
        return self._lines

    def _inside(self, key: KeyPath, *, array: bool) -> KeyPath:
        """Where a header leads: an array of tables is entered at its last element."""
        path: KeyPath = ()
        for number, part in enumerate(key):
            path = (*path, part)
            if array and number == len(key) - 1:
                self._arrays[path] = self._arrays.get(path, 0) + 1
                self._note(path)
            if path in self._arrays:
                path = (*path, self._arrays[path] - 1)
        self._note(path)
        while self._text[self._at] in " \t]":
            self._at += 1
        return path

    def _note(self, path: KeyPath) -> None:
        self._lines.setdefault(path, self._text.count("\n", 0, self._at) + 1)

    def _skip_blank(self) -> bool:
        """To the next thing that says something; False at the end."""
        while self._at < len(self._text):
            if self._text[self._at] == "#":
                self._at = self._text.index("\n", self._at)
            elif self._text[self._at].isspace():
                self._at += 1
            else:
                return True
        return False

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            while self._text[self._at] in " \t":
                self._at += 1
            if self._text[self._at] in "\"'":
                parts.append(self._string())
            else:
                start = self._at
                while self._text[self._at].isalnum() or self._text[self._at] in "-_":
                    self._at += 1
                parts.append(self._text[start : self._at])
            while self._text[self._at] in " \t":
                self._at += 1
            if self._text[self._at] != ".":
                return tuple(parts)
            self._at += 1

    def _pair(self, table: KeyPath) -> None:
        path = table
        key = self._key()
        for part in key:
            path = (*path, part)
            self._note(path)
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._at += 1
            element = 0
            while self._skip_blank() and self._text[self._at] != "]":
                if self._text[self._at] == ",":
                    self._at += 1
                    continue
                self._note((*path, element))
                self._value((*path, element))
                element += 1
            self._at += 1
        elif first == "{":
            self._at += 1
            while self._skip_blank() and self._text[self._at] != "}":
                if self._text[self._at] == ",":
                    self._at += 1
                    continue
                self._pair(path)
            self._at += 1
        else:
            while self._text[self._at] not in ",]}#\n":
                self._at += 1

    def _string(self) -> str:
        quote = self._text[self._at]
        ends = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        start = self._at = self._at + len(ends)
        while not self._text.startswith(ends, self._at):
            self._at += 2 if quote == '"' and self._text[self._at] == "\\" else 1
        content = self._text[start : self._at]
        self._at += len(ends)
        # A multi-line string may end with quotes of its own.
        while len(ends) == 3 and self._text.startswith(quote, self._at):
            self._at += 1
        return content
