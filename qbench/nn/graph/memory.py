"""Which operations' results share memory, so that one written in place is read as it is then."""

from __future__ import annotations


class Memory:
    """Follows writes in place: who reads a tensor after one reads the operation that wrote it.

    Only a write into a view is not followed, `x.view(-1).relu_()` or `x[:, 0] = 1`: to read the whole afterwards is
    an error.
    """

    def __init__(self) -> None:
        self._root: dict[str, str] = {}  # the tensor whose memory a result is in
        self._latest: dict[str, str] = {}  # the last operation that wrote into all of a result
        self._stale: dict[str, str] = {}  # the operation that wrote into a part of a result

    def view(self, of: str, result: str) -> None:
        """Note that `result` is in the memory of `of`."""
        self._root[result] = self._root_of(of)

    def write(self, into: str, result: str) -> None:
        """Note that the operation `result` writes into the tensor `into`, and gives it."""
        root, written = self._root_of(into), self._latest.get(into, into)
        for name in [root, *(name for name, each in self._root.items() if each == root)]:
            if name == into or self._latest.get(name, name) == written:
                self._latest[name] = result
            else:
                self._stale[name] = result
        self._root[result] = root

    def read(self, name: str) -> str:
        """Return the operation whose result is in the tensor called `name` now.

        Raises:
            ValueError: part of it was written in place, through a view.
        """
        if name in self._stale:
            raise ValueError(f"{self._stale[name]} writes in place into a view of {name}, which is read afterwards")
        return self._latest.get(name, name)

    def _root_of(self, name: str) -> str:
        return self._root.get(name, name)
