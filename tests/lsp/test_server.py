"""The server as an editor talks to it: a process, JSON-RPC over its standard input and output."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.models import call

TEXT = "root R(p)->x{\nvar x=1\nx**2=q\nreturn x\n}\n"


class Editor:
    """One end of the wire."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "implicitdsl", "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.number = 0
        # A server that does not answer must not hold the tests up.
        self.patience = threading.Timer(120, self.process.kill)
        self.patience.start()

    def send(self, method: str, params: Any, **more: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while (line := self.process.stdout.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return json.loads(self.process.stdout.read(length))

    def ask(self, method: str, params: Any) -> Any:
        """The result of a request; notifications before it are passed over."""
        self.number += 1
        self.send(method, params, id=self.number)
        while (answer := self.receive()).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def told(self, method: str) -> Any:
        """The parameters of the next notification of a method."""
        while (message := self.receive()).get("method") != method:
            pass
        return message["params"]


@pytest.fixture
def editor() -> Iterator[Editor]:
    found = Editor()
    yield found
    found.patience.cancel()
    found.process.kill()
    found.process.communicate()


def test_a_session_of_an_editor(editor: Editor, tmp_path: Path) -> None:
    uri = (tmp_path / "r.imp").as_uri()
    able = editor.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})["capabilities"]
    for what in ("hover", "definition", "completion", "documentFormatting", "codeAction"):
        assert able[f"{what}Provider"]
    editor.send("initialized", {})
    document = {"uri": uri, "languageId": "imp", "version": 1, "text": TEXT}
    editor.send("textDocument/didOpen", {"textDocument": document})
    told = editor.told("textDocument/publishDiagnostics")
    assert told["uri"] == uri
    (power,) = told["diagnostics"]
    assert (power["code"], power["severity"], power["source"]) == ("E106", 1, "implicitdsl")
    assert power["range"] == {"start": {"line": 2, "character": 1}, "end": {"line": 2, "character": 3}}
    here = {"textDocument": {"uri": uri}, "range": power["range"], "context": {"diagnostics": []}}
    (action,) = editor.ask("textDocument/codeAction", here)
    assert action["edit"]["changes"][uri] == [{"range": power["range"], "newText": "^"}]
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}
    change = {"range": everything, "text": TEXT.replace("**", "^").replace("q", "p")}
    editor.send("textDocument/didChange", {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [change]})
    assert editor.told("textDocument/publishDiagnostics")["diagnostics"] == []
    at = {"textDocument": {"uri": uri}, "position": {"line": 2, "character": 0}}
    hover = editor.ask("textDocument/hover", at)
    assert "`x` is an unknown" in hover["contents"]["value"]
    place = editor.ask("textDocument/definition", at)
    assert (place["uri"], place["range"]["start"]) == (uri, {"line": 1, "character": 4})
    assert {"sqrt", "p"} <= {item["label"] for item in editor.ask("textDocument/completion", at)}
    wanted = {"textDocument": {"uri": uri}, "options": {"tabSize": 2, "insertSpaces": True}}
    (edit,) = editor.ask("textDocument/formatting", wanted)
    assert edit["newText"] == "root R(p) -> x {\n  var x = 1\n  x^2 = p\n  return x\n}\n"
    editor.ask("shutdown", None)
    editor.send("exit", None)
    assert editor.process.wait(timeout=20) == 0


def test_without_pygls_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicitdsl.lsp.server", None)
    result = call("lsp")
    assert result.exit_code == 2
    assert "pip install 'implicitdsl[lsp]'" in result.stderr
