"""The program that a python session runs inside the container: it takes texts from standard input, and answers there.

It is sent whole, as `python3 -c`, so it must not import anything of this project, nor need a newer Python than 3.7. Standard input is
a socket for both directions: requests are lines of JSON, answers end with a zero byte. Cells get an empty standard input instead.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import json
import linecache
import os
import signal
import sys
import traceback
import types
from typing import Any


class _Refused(Exception):
    word = "refused"


class _Lacking(_Refused):
    word = "lacking"


def _plain(value: Any, where: str) -> None:
    """Raise _Refused, with the place, for what JSON cannot hold as it is."""
    if value is None or (isinstance(value, (bool, int, float, str)) and type(value).__module__ == "builtins"):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:
                raise _Refused(f"the key {key!r} of {where} is {type(key).__name__}, and JSON has only text there")
            _plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _plain(item, f"{where}[{index}]")
    else:
        kind = type(value)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        raise _Refused(f"{where} is of type {name}, which JSON cannot hold")


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise _Lacking("tables travel by Arrow, and the container's python has no pyarrow") from None
    return pyarrow


def _from_arrow(kind: str, text: str) -> Any:
    table = _arrow().ipc.open_stream(base64.b64decode(text)).read_all()
    if kind == "table":
        return table
    try:
        frame = table.to_pandas()
    except ImportError:
        raise _Lacking("the container's python has no pandas") from None
    column = frame.iloc[:, 0] if kind != "frame" else None
    return frame if column is None else column.rename(None) if kind == "unnamed" else column


def _to_arrow(value: Any) -> tuple[str, str] | None:
    """The kind and the bytes, as text, of a table; None for what is none."""
    module, kind = type(value).__module__.partition(".")[0], type(value).__name__
    known = {("pandas", "DataFrame"): "frame", ("pandas", "Series"): "series", ("pyarrow", "Table"): "table"}.get((module, kind))
    if known is None:
        return None
    arrow = _arrow()
    table = value
    if known == "series":
        known = "series" if isinstance(value.name, str) else "unnamed"
        table = arrow.Table.from_pandas(value.to_frame(value.name if known == "series" else "value"))
    elif known == "frame":
        table = arrow.Table.from_pandas(value)
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return known, base64.b64encode(sink.getvalue().to_pybytes()).decode()


class _Driver:
    def __init__(self, control: int) -> None:
        self.control = control
        self.pid = os.getpid()
        self.running = False
        self.cells = 0
        self.module = types.ModuleType("__main__")
        sys.modules["__main__"] = self.module
        signal.signal(signal.SIGINT, self.on_interrupt)

    def on_interrupt(self, number: int, frame: Any) -> None:
        if self.running:
            raise KeyboardInterrupt

    def answer(self, *words: Any) -> None:
        data = " ".join(map(str, words)).encode("utf-8", "surrogateescape") + b"\0"
        while data:
            data = data[os.write(self.control, data) :]

    def serve(self) -> None:
        self.answer("ready", 0, os.getpid())
        with os.fdopen(self.control, "rb", closefd=False) as requests:
            for line in requests:
                request = json.loads(line.decode())
                number, code = request["number"], 0
                if request["do"] == "run":
                    self.answer("began", number)
                    code = self.run(request["text"])
                elif request["do"] == "push":
                    for name, value in request["values"].items():
                        self.push(number, name, value)
                else:
                    for name in request["names"]:
                        self.pull(number, name)
                self.answer("ended", number, code)

    def run(self, text: str) -> int:
        """Execute a cell; 0, 1 after an exception, 130 after an interrupt. SystemExit passes."""
        code = 1
        try:
            code = self.execute(text)
        except KeyboardInterrupt:  # by an interrupt that came at the very end
            code = 130
        except SystemExit as end:
            if self.pid == os.getpid():
                self.flush()
                raise
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        self.running = False
        self.flush()
        if self.pid != os.getpid():
            os._exit(code & 255)  # a child that the cell has forked
        return code

    def execute(self, text: str) -> int:
        self.cells += 1
        name = f"<cell {self.cells}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        try:
            tree = ast.parse(text, name)
            parts: list[tuple[ast.AST, str]] = [(tree, "exec")]
            if tree.body and isinstance(tree.body[-1], ast.Expr):
                parts.append((ast.Interactive([tree.body.pop()]), "single"))
            programs = [
                compile(part, name, mode, dont_inherit=True)  # type: ignore[call-overload]  # each part goes with its mode
                for part, mode in parts
            ]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            traceback.print_exception(type(error), error, None)
            return 1
        try:
            self.running = True
            for program in programs:
                exec(program, self.module.__dict__)
            return 0
        except SystemExit:
            raise
        except BaseException as error:
            self.running = False
            self.tell(error)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        finally:
            self.running = False

    def tell(self, error: BaseException) -> None:
        """Show the traceback without what belongs to this driver."""
        trace = error.__traceback__
        while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<cell "):
            trace = trace.tb_next
        last = trace
        while last is not None and last.tb_next is not None:
            if last.tb_next.tb_frame.f_code is _Driver.on_interrupt.__code__:
                last.tb_next = None
            last = last.tb_next
        error.__traceback__ = trace
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
        self.flush()
        traceback.print_exception(type(error), error, trace)

    def push(self, number: int, name: str, value: Any) -> None:
        try:
            self.module.__dict__[name] = value["json"] if "json" in value else _from_arrow(value["kind"], value["arrow"])
            self.answer("took", number, name)
        except Exception as error:
            self.refuse(number, name, error)

    def pull(self, number: int, name: str) -> None:
        if name not in self.module.__dict__:
            self.answer("unset", number, name)
            return
        value = self.module.__dict__[name]
        try:
            table = _to_arrow(value)
            if table is not None:
                self.answer("table", number, f"{name}={table[0]} {table[1]}")
                return
            _plain(value, name)
            self.answer("value", number, f"{name}={json.dumps(value)}")
        except RecursionError:
            self.answer("refused", number, f"{name}=it contains itself")
        except Exception as error:
            self.refuse(number, name, error)

    def refuse(self, number: int, name: str, error: Exception) -> None:
        what = str(error) if isinstance(error, _Refused) else repr(error)
        self.answer(error.word if isinstance(error, _Refused) else "refused", number, f"{name}={what}")

    @staticmethod
    def flush() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()


def main() -> None:
    """Take the socket away from where cells would find it, and serve until its end."""
    control = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _Driver(control).serve()


if __name__ == "__main__":
    main()
