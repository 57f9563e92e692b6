"""Reading and writing XML of streams. Elements are ElementTree's: tags are `{namespace}name`."""

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape as _escape

Element = ElementTree.Element
_TAG = re.compile(r"^(?:\{(.*)\})?(.*)$")


def escape(text: str) -> str:
    return _escape(text, {'"': "&quot;", "'": "&apos;"})


def name(element: Element) -> str:
    return _TAG.match(element.tag).group(2)


def namespace(element: Element) -> str:
    return _TAG.match(element.tag).group(1) or ""


def child(element: Element, namespace_: str, name_: str) -> Element | None:
    return element.find(f"{{{namespace_}}}{name_}")


def text(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")


class StreamReader:
    """Turns the bytes of one stream into its header, its first-level elements and its end.

    Calls `on_header(element)`, `on_element(element)`, `on_end()`."""

    def __init__(self, on_header, on_element, on_end):
        self._on_header, self._on_element, self._on_end = on_header, on_element, on_end
        self._parser = ElementTree.XMLPullParser(("start", "end"))
        self._depth = 0
        self._root = None

    def feed(self, data: bytes | str) -> None:
        self._parser.feed(data)
        for event, element in self._parser.read_events():
            if event == "start":
                if self._depth == 0:
                    self._root = element
                    self._on_header(element)
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 1:
                    self._root.remove(element)
                    self._on_element(element)
                elif self._depth == 0:
                    self._on_end()
