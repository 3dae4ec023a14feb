"""Tree to text: the one layout that `fmt` gives.

Two spaces a block, one statement a line, at most one blank line between statements and one around every definition. A
block of one statement that stood on one line stays there if it fits. Every comment is kept: one inside a statement
moves above it, one behind a statement stays behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.diagnostics import ImpError, Report, Span
from implicitdsl.syntax import phrases, tree
from implicitdsl.syntax.fixes import apply_fixes
from implicitdsl.syntax.reader import read, read_with_report, text_fixes
from implicitdsl.syntax.wrapping import WIDTH, wrap

Block = tree.Definition | tree.When | tree.Subject | tree.ForAll
Plain = tree.Statement | tree.Relation | tree.Reset | tree.Stop | tree.Function | tree.Import
INDENT = "  "


def print_tree(file: tree.File) -> str:
    """The text of a file in canonical layout, ending with a newline; reading it gives an equal tree."""
    return _Printer(file).text()


def format_text(text: str, name: str = "<text>") -> str:
    """The text in canonical layout, refused spellings such as `**` mended.

    Raises ImpError with the findings of the text as it was given where it has errors that no fix mends.
    """
    report = Report()
    file = read_with_report(text, name, report)
    if file is None:
        mended = apply_fixes(text, text_fixes(text))
        try:
            file = read(mended, name)
        except ImpError:
            raise ImpError(report.in_text_order()) from None
    return print_tree(file)


class _Printer:
    """One file on its way to text. `last` is the place in the source where the last thing printed ended."""

    def __init__(self, file: tree.File) -> None:
        self.file = file
        self.source = file.source.text
        self.comments = sorted(file.comments, key=lambda comment: comment.span.start)
        self.next_comment = 0
        self.lines: list[str] = []
        self.last: int | None = None

    def text(self) -> str:
        file = self.file
        if file.has_version_line:
            self.lines += [f"imp {file.version}", ""]
        before: tree.Item | None = None
        for item in file.items:
            if before is not None and (isinstance(item, tree.Definition) or isinstance(before, tree.Definition)):
                self._blank()
            self._unit(item, "")
            before = item
        if isinstance(before, tree.Definition) and self.next_comment < len(self.comments):
            self._blank()
        self._comments_until(len(self.source) + 1, "")
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return "".join(f"{line}\n" for line in self.lines)

    # ------------------------------------------------------------ one thing after another

    def _blank(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")
        self.last = None

    def _gap(self, start: int) -> None:
        """A blank line where the source has one between the last thing printed and this one."""
        if self.last is not None and self.source.count("\n", self.last, start) >= 2 and self.lines[-1]:
            self.lines.append("")

    def _comments_until(self, offset: int, indent: str) -> None:
        """Print the comments in front of `offset`, each on a line of its own."""
        while self.next_comment < len(self.comments) and self.comments[self.next_comment].span.start < offset:
            comment = self.comments[self.next_comment]
            self.next_comment += 1
            self._gap(comment.span.start)
            self.lines.append(indent + comment.text)
            self.last = comment.span.end

    def _trailing(self, end: int) -> None:
        """Put the comment that stands behind `end` on its line behind the last line printed."""
        self.last = end
        if self.next_comment < len(self.comments):
            comment = self.comments[self.next_comment]
            if not comment.own_line and not self.source[end : comment.span.start].strip(" \t\r\f\v"):
                self.next_comment += 1
                self.lines[-1] += f"  {comment.text}"
                self.last = comment.span.end

    def _unit(self, node: Plain | Block, indent: str) -> None:
        """Print a statement or block with the comments in front of it, inside it and behind it."""
        start, end = node.span.start, node.span.end
        self._comments_until(start, indent)
        self._gap(start)
        self.last = None
        if isinstance(node, Block):
            self._block(node, indent)
        else:
            self._comments_until(end, indent)
            self.lines += wrap(phrases.line(node), indent)
        self._trailing(end)

    # ------------------------------------------------------------ blocks

    def _block(self, node: Block, indent: str) -> None:
        inside = _inside(node)
        short = _one_line(node)
        if short is not None and len(indent + short) <= WIDTH and not self._has_comment(node.span):
            self.lines.append(indent + short)
            return
        brace = self._brace(node.span.start, inside[0].span.start)
        self._comments_until(brace, indent)
        self.lines += wrap(f"{phrases.head(node)} {{", indent)
        self._trailing(brace + 1)
        self.last = None
        for part in inside:
            self._unit(part, indent + INDENT)
        self._comments_until(node.span.end, indent + INDENT)
        self.lines.append(indent + "}")

    def _has_comment(self, span: Span) -> bool:
        rest = self.comments[self.next_comment :]
        return any(span.start <= comment.span.start < span.end for comment in rest)

    def _brace(self, start: int, end: int) -> int:
        """Where the `{` of a block stands, between its start and its first statement; there may be some in comments."""
        inside = [c.span for c in self.comments[self.next_comment :] if start <= c.span.start < end]
        for span in reversed(inside):
            brace = self.source.rfind("{", span.end, end)
            if brace >= 0:
                return brace
            end = span.start
        return max(start, self.source.rfind("{", start, end))


def _inside(node: Block) -> Sequence[Plain | Block]:
    match node:
        case tree.When(actions=parts) | tree.Subject(relations=parts) | tree.ForAll(body=parts):
            return parts
        case tree.Definition(body=parts):
            return parts


def _one_line(node: Plain | Block) -> str | None:
    """The text of a statement on one line, or None for a block that does not stand on one line in its source."""
    if not isinstance(node, Block):
        return phrases.line(node)
    inside = _inside(node)
    if len(inside) != 1 or "\n" in node.span.text:
        return None
    only = _one_line(inside[0])
    return None if only is None else f"{phrases.head(node)} {{ {only} }}"
