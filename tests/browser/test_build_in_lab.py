"""The build progress in JupyterLab: steps as they happen, what came from the cache, and where an error is."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import Server

pytestmark = pytest.mark.needs("chromium")

LOAD = "%load_ext labcontainers"
GOOD = r"""%%dockerfile -t lesson/steps
FROM lab/base
ENV COLOUR=green
RUN printf '\033[32mgreen\033[0m output\n'; while ! test -e /stop && [ ${n:-0} -lt 30 ]; do n=$((${n:-0} + 1)); sleep 0.1; done
RUN echo last"""
FAILING = """%%dockerfile -t lesson/failing
FROM lab/base
RUN echo fine
RUN echo before the end; cat /nowhere"""
MISTAKEN = """%%dockerfile
FROM lab/base
RUM echo hello"""


def statuses(build: Locator) -> list[str]:
    return [step.get_attribute("data-status") or "" for step in build.locator(".labc-step").all()]


def test_steps_run_and_are_cached_when_built_again(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, GOOD, GOOD])
    page.run_all()
    first, second = (page.locator(".labc-build").nth(number) for number in (0, 1))
    running = first.locator(".labc-step[data-status=running]")
    expect(running.locator(".labc-output")).to_contain_text("green output")
    expect(running.locator(".labc-output span")).to_have_css("color", "rgb(26, 127, 55)")
    expect(first.locator(".labc-head .labc-badge")).to_have_text("building")
    expect(first.locator(".labc-head .labc-badge")).to_have_text("built")
    expect(second.locator(".labc-head .labc-badge")).to_have_text("built")
    assert statuses(first)[1:] == ["done", "done", "done"]
    assert statuses(second) == ["cached", "cached", "cached", "cached"]
    expect(first.locator(".labc-result")).to_contain_text("lesson/steps")
    expect(first.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "4")

    # the output of a step that is done is put away, and can be opened
    last = first.locator(".labc-step").last
    expect(last.locator(".labc-output")).to_be_hidden()
    last.locator(".labc-step-head").click()
    expect(last.locator(".labc-output")).to_have_text("last\n")


def test_failed_step_shows_its_output_and_the_line(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, FAILING])
    page.run_all()
    build = page.locator(".labc-build")
    expect(build.locator(".labc-head .labc-badge")).to_have_text("failed")
    assert statuses(build)[1:] == ["done", "failed"]
    expect(build.locator(".labc-step").last.locator(".labc-output")).to_contain_text("can't open '/nowhere'")
    expect(build.locator(".labc-result")).to_contain_text("Dockerfile line 3: the step failed with exit code 1")
    expect(build.locator(".labc-source")).to_have_text("3 │ RUN echo before the end; cat /nowhere")
    error = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedText").last
    expect(error).to_contain_text("StepFailed")
    expect(error).not_to_contain_text("Traceback")


def test_mistake_in_the_dockerfile_is_shown_with_its_line(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, MISTAKEN])
    page.run_all()
    build = page.locator(".labc-build")
    expect(build.locator(".labc-head .labc-badge")).to_have_text("failed")
    expect(build.locator(".labc-result")).to_contain_text(re.compile("Dockerfile line 2: .*RUM", re.IGNORECASE))
    expect(build.locator(".labc-source")).to_contain_text("2 │ RUM echo hello")
