"""The text and HTML forms of the widgets: what a saved notebook, a diff or a page without a kernel shows.

It must not know Jupyter or the browser; the HTML has no scripts and asks for nothing from elsewhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_age, format_bytes, format_duration, format_memory
from labcontainers.widgets.messages import (
    BuildState,
    Facts,
    Point,
    Sample,
    State,
    Step,
    TerminalFacts,
    TerminalState,
    TransferLayer,
    TransferState,
)

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.|[\x00-\x08\x0b-\x1f\x7f]")
# Short, since a notebook file has these once for each output and once for each widget.
_BOX = "border:1px solid #8885;border-radius:8px;padding:10px 14px;font:13px sans-serif"
_PRE = "margin:8px 0 0;padding:0;background:none;color:inherit;font:12px/1.45 monospace;white-space:pre-wrap"
_TONES = {"good": "#2da44e", "bad": "#d1242f", "calm": "#7d8590"}
_MARKS = {"waiting": " ", "running": ">", "cached": "=", "done": "+", "failed": "!", "cancelled": "x"}
_LAYER_MARKS = {"waiting": " ", "done": "+", "mounted": "+", "exists": "=", "stopped": "!"}
_LAYER_TONES = {"waiting": "calm", "exists": "calm", "stopped": "bad", "done": "good", "mounted": "good"}
_DONE = {"pull": "pulled", "push": "pushed", "load": "loaded", "import": "imported"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment, as text and as HTML."""

    text: str
    html: str


def of_lines(title: str, lines: Sequence[str]) -> Snapshot:
    """Lines whose columns stand below each other, under a title that may be empty."""
    heading = f"<b>{escape(title)}</b>" if title else ""
    html = f'<div {NO_FORMULAS}>{heading}<pre style="{_PRE}">{escape(chr(10).join(lines))}</pre></div>'
    return Snapshot("\n".join([*([title] if title else []), *lines]), html)


def visible(text: str) -> str:
    """A line as a reader sees it: control sequences left out, and of what was overwritten the last."""
    return _CONTROL.sub("", text.rstrip("\r").rsplit("\r", 1)[-1])


def state_words(state: State, now: float) -> str:
    """What `ps` says under STATUS."""
    if state["status"] in ("running", "paused"):
        up = f"Up {format_age(now - (state['started_at'] or now))}"
        return f"{up} (paused)" if state["status"] == "paused" else up
    if state["status"] == "exited":
        ago = f" {format_age(now - state['finished_at'])} ago" if state["finished_at"] else ""
        return f"Exited ({state['exit_code']}){ago}{', out of memory' if state['oom_killed'] else ''}"
    return state["status"].capitalize()


def card_snapshot(
    facts: Facts, state: State, samples: Sequence[Sample], lines: Sequence[tuple[int, str]], skipped: int, now: float
) -> Snapshot:
    """A container as it is at `now`: `lines` are its last, as (stream, text); `skipped` came before them."""
    rows = [("image", facts["image"]), ("id", facts["id"][:12]), ("status", state_words(state, now)), ("command", facts["command"])]
    rows += [("ports", ", ".join(port["text"] for port in facts["ports"])), ("level", facts["level"])]
    if samples:
        last = samples[-1]
        of = f" of {format_memory(limit)}" if (limit := last["memory_limit_bytes"]) else ""
        rows.append(("CPU", f"{last['cpu_percent']:.1f} %"))
        rows.append(("memory", f"{format_memory(last['memory_bytes'])}{of}"))
    rows.append(("checkpoints", ", ".join(_point_words(point) for point in state.get("checkpoints", ()))))
    rows += [("warning", warning) for warning in state["warnings"]]
    if state["error"]:
        rows.append(("error", state["error"]))
    rows = [(name, value) for name, value in rows if value]
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    log = [visible(text) for _, text in lines]
    more = f"… {skipped:,} earlier lines" if skipped > 0 else ""
    width = max(len(name) for name, _ in rows)
    body = [f"{name:<{width}}  {value}" for name, value in rows]
    if log:
        body += ["log", *([f"  {more}"] if more else []), *(f"  {line}" for line in log)]
    tone = "good" if state["status"] == "running" else "bad" if state["exit_code"] or state["status"] == "dead" else "calm"
    html = f'<div {NO_FORMULAS} style="{_BOX}">{_heading(facts["name"], state["status"], tone, f"as of {at}")}'
    html += f'<pre style="{_PRE}">{escape(chr(10).join(body), quote=False)}</pre></div>'
    return Snapshot("\n".join([f"container {facts['name']} (as of {at})", *(f"  {line}" for line in body)]), html)


def _point_words(point: Point) -> str:
    """A checkpoint in one line with the others."""
    return f"{point['number']}{' ' if point['label'] else ''}{point['label']}{' (now)' if point['current'] else ''}"


def build_snapshot(build: BuildState, steps: Sequence[Step], tails: dict[int, str], now: float) -> Snapshot:
    """A build as it is at `now`: `tails` are the last lines of output by step index, shown for steps that run or failed."""
    duration_s = build["duration_s"] if build["duration_s"] is not None else now - build["started_at"]
    name = build["tags"][0] if build["tags"] else ""
    title = f"build {name}".strip()
    text = [f"{title}: {build['status']}, {format_duration(duration_s)}"]
    rows = []
    for step in steps:
        # why the build failed is said at the end, once
        said = "" if build["failure"] else step["message"]
        words, row = _step_forms(step, tails.get(step["index"], ""), said, build["status"] != "running")
        text += words
        rows.append(row)
    ending = _ending(build)
    text += [f"  {line}" for line in ending]
    tone = {"done": "good", "failed": "bad"}.get(build["status"], "calm")
    html = f'<div {NO_FORMULAS} style="{_BOX}">{_heading(title, build["status"], tone, format_duration(duration_s))}'
    html += f'<table style="margin:6px 0 0;border:0;width:100%">{"".join(rows)}</table>'
    html += "".join(f'<pre style="{_PRE}">{escape(line)}</pre>' for line in ending)
    return Snapshot("\n".join(text), html + "</div>")


def _heading(name: str, status: str, tone: str, aside: str) -> str:
    badge = f'<span style="color:{_TONES[tone]}">● {escape(status)}</span>'
    return f'<b style="font-size:15px">{escape(name)}</b> &nbsp; {badge} &nbsp; <span style="opacity:.6">{escape(aside)}</span>'


def _ending(build: BuildState) -> list[str]:
    if build["status"] == "done" and build["image_id"]:
        return ["image " + " ".join([build["image_id"].removeprefix("sha256:")[:12], *build["tags"]])]
    failure = build["failure"]
    if failure is None:
        return []
    where = f"Dockerfile line {failure['line']}: " if failure["line"] else ""
    return [where + failure["message"], *([failure["hint"]] if failure["hint"] else [])]


def _title(reason: str) -> str:
    return f' title="{escape(reason)}"' if reason else ""


def _step_forms(step: Step, tail: str, said: str, over: bool) -> tuple[list[str], str]:
    """A step as lines of text and as rows of an HTML table; `over` says that the build is."""
    number = f"{step['index']}/{step['total']}" if step["total"] else str(step["index"])
    took = format_duration(step["duration_s"]) if step["duration_s"] is not None and step["status"] != "cached" else ""
    size = format_bytes(step["layer_size_bytes"]) if step["layer_size_bytes"] else ""
    status = "not begun" if step["status"] == "waiting" and over else step["status"]
    about = "  ".join(part for part in (f"waits for {step['waits_for']}" if step["waits_for"] else status, took, size) if part)
    first = step["text"].split("\n", 1)[0]
    if step["stage"]:
        first = f"[{step['stage']}] {first}"
    text = [f"  {_MARKS[step['status']]} {number:>5}  {first}  [{about}]"]
    colour = _TONES["bad" if step["status"] == "failed" else "good" if step["status"] == "done" else "calm"]
    row = f"<tr><td>{number}</td>"
    row += f'<td style="text-align:left"{_title(step["reason"])}><code>{escape(first)}</code></td>'
    row += f'<td style="color:{colour};white-space:nowrap">{escape(about)}</td></tr>'
    if step["status"] in ("running", "failed", "cancelled"):
        lines = [visible(line) for line in tail.splitlines()[-20:]]
        if said:
            lines.append((f"Dockerfile line {step['line']}: " if step["line"] else "") + said)
        if lines:
            text += [f"          {line}" for line in lines]
            body = f'<pre style="{_PRE}">{escape(chr(10).join(lines))}</pre>'
            row += f'<tr><td></td><td colspan="2" style="text-align:left">{body}</td></tr>'
    return text, row


def terminal_words(state: TerminalState) -> str:
    """How a terminal is, in a few words."""
    words = {"waiting": "no page has shown it yet", "starting": "starting", "running": "running", "closed": "closed", "failed": "failed"}
    if state["status"] != "exited":
        return words[state["status"]]
    ended = "" if state["container"] == "running" else f", the container is {state['container']}"
    return f"exited with code {state['exit_code']}{ended}"


def terminal_snapshot(facts: TerminalFacts, state: TerminalState, lines: Sequence[str]) -> Snapshot:
    """A terminal's last screen, as plain text."""
    said = terminal_words(state)
    shown = [visible(line).rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    failure = state["failure"]
    notes = [failure["message"], *([failure["hint"]] if failure["hint"] else [])] if failure else []
    if state["status"] == "waiting":
        notes.append(f"`%container exec {facts['name']} COMMAND` needs no page")
    text = [f"terminal of {facts['name']}: {facts['title']} ({said})", *(f"  {line}" for line in [*shown, *notes])]
    tone = {"running": "good", "failed": "bad"}.get(state["status"], "bad" if state["exit_code"] else "calm")
    html = f'<div {NO_FORMULAS} style="{_BOX}">{_heading(facts["name"], said, tone, facts["title"])}'
    html += f'<pre style="{_PRE}">{escape(chr(10).join([*shown, *notes]))}</pre>' if shown or notes else ""
    return Snapshot("\n".join(text), html + "</div>")


def transfer_snapshot(transfer: TransferState, layers: Sequence[TransferLayer], now: float) -> Snapshot:
    """A pull, push, load or import as it is at `now`: a line for each layer, and one for all."""
    took = format_duration(transfer["duration_s"] if transfer["duration_s"] is not None else max(0.0, now - transfer["started_at"]))
    title = f"{transfer['verb']} {transfer['name']}".strip()
    status = _DONE[transfer["verb"]] if transfer["status"] == "done" else transfer["status"]
    text, rows = [f"{title}: {status}, {took}"], []
    for layer in layers:
        words, amount = layer_words(transfer, layer), _layer_amount(layer)
        about = "  ".join(part for part in (words, amount) if part)
        text.append(f"  {_LAYER_MARKS.get(layer['phase'], '>')} {layer['id']}{'  ' if layer['id'] else ''}{about}")
        row = f'<tr><td style="text-align:left;padding:1px 12px 1px 0"><code>{escape(layer["id"])}</code></td>'
        row += f'<td style="text-align:left;color:{_TONES[_LAYER_TONES.get(layer["phase"], "calm")]}">{escape(words)}</td>'
        rows.append(f'{row}<td style="text-align:right;padding-left:12px;white-space:nowrap">{escape(amount)}</td></tr>')
    ending = [transfer_words(transfer, layers)]
    if transfer["failure"] is not None:
        ending += [transfer["failure"]["message"], transfer["failure"]["hint"]]
    ending = [line for line in ending if line]
    tone = {"done": "good", "failed": "bad", "interrupted": "bad"}.get(transfer["status"], "calm")
    html = f'<div {NO_FORMULAS} style="{_BOX}">{_heading(title, status, tone, took)}'
    html += f'<table style="margin:6px 0 0;border:0">{"".join(rows)}</table>'
    html += "".join(f'<pre style="{_PRE}">{escape(line)}</pre>' for line in ending)
    return Snapshot("\n".join([*text, *(f"  {line}" for line in ending)]), html + "</div>")


def layer_words(transfer: TransferState, layer: TransferLayer) -> str:
    """What happens to a layer, or has happened."""
    if layer["phase"] == "done":
        return _DONE[transfer["verb"]]
    return {"exists": "exists already", "mounted": f"mounted from {layer['source']}"}.get(layer["phase"], layer["phase"])


def _layer_amount(layer: TransferLayer) -> str:
    if layer["phase"] in ("exists", "mounted"):
        return ""
    if layer["phase"] == "done" or layer["total"] < 0:
        return format_bytes(layer["current"]) if layer["current"] else ""
    return f"{format_bytes(layer['current'])} of {format_bytes(layer['total'])}"


def transfer_words(transfer: TransferState, layers: Sequence[TransferLayer]) -> str:
    """How far all layers are together."""
    named = [layer for layer in layers if layer["id"]]
    moved = [layer for layer in layers if layer["phase"] not in ("exists", "mounted")]
    ready = sum(layer["phase"] in ("done", "exists", "mounted") for layer in named)
    current = sum(layer["current"] for layer in moved if layer["phase"] != "preparing")
    total = sum(layer["total"] for layer in moved) if all(layer["total"] >= 0 for layer in moved) else -1
    amount = format_bytes(current) + (f" of {format_bytes(total)}" if total > current else "")
    parts = (
        f"{ready} of {len(named)} layer{'s' if len(named) > 1 else ''}" if named else "",
        amount if moved and current else "",
        f"{format_bytes(transfer['rate'])}/s" if transfer["rate"] else "",
    )
    return ", ".join(part for part in parts if part)
