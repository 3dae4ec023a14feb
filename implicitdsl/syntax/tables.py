"""The parser of `imp.lark`, from the tables that lie beside it, or built where they are not those of this grammar.

lark takes a tenth of a second to build the tables, and milliseconds to load them. `imp.tables` holds what lark
serialises, as compressed JSON, with the version of lark and the digest of the grammar that it is of;
`python -m implicitdsl.syntax.tables` writes it, and a test compares it with the grammar.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lark import Lark

STARTS = ("file", "expr", "choice")
"""What texts may be."""
_FOLDER = Path(__file__).parent
TABLES = _FOLDER / "imp.tables"


def parser() -> Lark:
    """The parser: from its tables if they are of this grammar and this lark, else built."""
    return loaded() or built()


def built() -> Lark:
    """The parser, built from the grammar; LALR(1), and an error if the grammar has a conflict."""
    import lark

    return lark.Lark(
        _grammar(),
        parser="lalr",
        lexer=_lexer(),
        strict=True,
        start=list(STARTS),
        maybe_placeholders=True,
        propagate_positions=True,
    )


def loaded() -> Lark | None:
    """The parser from its tables, or None where they are of another grammar or of another version of lark."""
    import lark

    try:
        kept: dict[str, Any] = json.loads(zlib.decompress(TABLES.read_bytes()))
    except (OSError, ValueError, zlib.error):
        return None
    if kept["of"] != _identity():
        return None
    data, memo = kept["data"], {int(number): entry for number, entry in kept["memo"].items()}
    tables = data["parser"]["parser"]
    # JSON has no numbers for keys.
    tables["tokens"] = {int(number): name for number, name in tables["tokens"].items()}
    tables["states"] = {
        int(state): {int(token): action for token, action in actions.items()}
        for state, actions in tables["states"].items()
    }
    data["options"]["lexer"] = data["parser"]["lexer_conf"]["lexer_type"] = _lexer()
    # What `Lark.load` calls, which takes no class of a lexer.
    kind: Any = lark.Lark
    return kind._load_from_dict(data, memo)


def write(path: Path = TABLES) -> None:
    """Writes the tables of the grammar."""
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

    made: Any = built()
    data, memo = made.memo_serialize([TerminalDef, Rule])
    data["options"] = {name: value for name, value in data["options"].items() if name != "lexer"}
    data["parser"]["lexer_conf"]["lexer_type"] = None
    text = json.dumps({"of": _identity(), "data": data, "memo": memo}, separators=(",", ":"))
    path.write_bytes(zlib.compress(text.encode(), 9))


def _grammar() -> str:
    return (_FOLDER / "imp.lark").read_text(encoding="utf-8")


def _identity() -> list[str]:
    import lark

    return [lark.__version__, hashlib.sha256(_grammar().encode()).hexdigest()]


def _lexer() -> Any:
    import lark

    class Ready(lark.lexer.Lexer):
        """Hands on the words of the scanner."""

        def __init__(self, lexer_conf: object) -> None:
            pass

        def lex(self, lexer_state: Any, parser_state: Any) -> Any:
            return iter(lexer_state)

    return Ready


if __name__ == "__main__":
    write()
