"""The build progress in JupyterLab: steps as they happen, what came from the cache, and where an error is."""

from __future__ import annotations

import os
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
# the tests share a store, and so a cache
TIMED = GOOD.replace("lesson/steps", "lesson/timed").replace("=green", "=olive").replace("output", "letters")
FAILING = """%%dockerfile -t lesson/failing
FROM lab/base
RUN echo fine
RUN echo before the end; cat /nowhere"""
MISTAKEN = """%%dockerfile
FROM lab/base
RUM echo hello"""


# a step's row, once its time was seen to be two different ones while it ran
TICKS = """step => {
  const time = step.querySelector(".labc-step-time").textContent;
  step.times ??= new Set();
  if (time && step.dataset.status === "running") step.times.add(time);
  return step.times.size > 1;
}"""
# a build that runs is drawn anew every 200 ms
REDRAWN = "() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(null)), 600))"
TIME = re.compile(r"^(\d+ ms|\d+\.\d s|\d+ m \d\d s)$")


def seconds(time: str) -> float:
    """A time as the page writes it."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0}
    words = time.split()
    return sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))


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


def test_time_of_a_step_runs_while_it_does_and_then_stays(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, TIMED, TIMED])
    page.run_all()
    first, second = (page.locator(".labc-build").nth(number) for number in (0, 1))
    slow = first.locator(".labc-step").nth(2)
    page.page.wait_for_function(TICKS, arg=slow.element_handle())
    expect(second.locator(".labc-head .labc-badge")).to_have_text("built")
    times = first.locator(".labc-step-time").all_inner_texts()
    whole = first.locator(".labc-uptime").inner_text()
    # FROM finds its image as it is
    assert all(TIME.match(time) for time in [*times[1:], whole]), times
    assert seconds(times[2]) >= 3, "it waits thirty times for a tenth of a second"
    assert seconds(whole) >= seconds(times[2])
    # what is cached took no time, and what is done takes no more
    page.page.evaluate(REDRAWN)
    assert second.locator(".labc-step-time").all_inner_texts() == [""] * 4
    assert first.locator(".labc-step-time").all_inner_texts() == times
    assert first.locator(".labc-uptime").inner_text() == whole


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


def test_a_cell_that_runs_again_replaces_its_part_of_the_dockerfile(lab: Server, open_notebook: Open) -> None:
    cells = [LOAD, "%%dockerfile --append parts\nFROM lab/base\nRUN echo first", "%%dockerfile --append parts\nRUN echo second"]
    page = open_notebook(lab, cells)
    page.run_all()
    last = page.locator(".labc-build").last
    expect(last.locator(".labc-head .labc-badge")).to_have_text("built")
    page.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells[2].setSource("
        "'%%dockerfile --append parts\\nRUN echo other')"
    )
    page.run_all()
    expect(page.locator(".labc-build").last.locator(".labc-step").last).to_contain_text("echo other")
    expect(page.locator(".labc-build").last.locator(".labc-head .labc-badge")).to_have_text("built")
    shown = page.output_of("print(get_ipython().run_line_magic('container', 'dockerfile show parts').text)")
    assert shown == "FROM lab/base\nRUN echo first\nRUN echo other"


def test_mistake_in_the_dockerfile_is_shown_with_its_line(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, MISTAKEN])
    page.run_all()
    build = page.locator(".labc-build")
    expect(build.locator(".labc-head .labc-badge")).to_have_text("failed")
    expect(build.locator(".labc-result")).to_contain_text(re.compile("Dockerfile line 2: .*RUM", re.IGNORECASE))
    expect(build.locator(".labc-source")).to_contain_text("2 │ RUM echo hello")


# both wait for each other at first, and then for ever
STAGES = """%%dockerfile -t lesson/stages{tag}
FROM lab/base AS one
ENV STAGES={tag}
RUN --mount=type=cache,id=stages{tag},target=/c echo one begins; touch /c/one; until test -e /c/two; do sleep 0.05; done; echo one saw two
RUN echo first of {tag} > /one; {wait}
FROM lab/base AS two
ENV OTHER={tag}
RUN --mount=type=cache,id=stages{tag},target=/c echo two begins; touch /c/two; until test -e /c/one; do sleep 0.05; done; echo two saw one
RUN head -c 2000000 /dev/zero > /two; {wait}
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
CMD ["/one"]"""
FOREVER = "echo up; while :; do sleep 0.05; done"
PICTURES = os.environ.get("LABCONTAINERS_PICTURES", "")


def picture(build: Locator, name: str) -> None:
    """A picture for who asks for it."""
    if PICTURES:
        build.scroll_into_view_if_needed()
        build.screenshot(path=f"{PICTURES}/build-{name}.png")


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (700, False), (1200, True), (700, True)])
def test_stages_run_beside_each_other_in_lanes_and_the_button_cancels_them(
    lab: Server, open_notebook: Open, width: int, dark: bool
) -> None:
    tag = f"{width}{'dark' if dark else 'light'}"
    page = open_notebook(lab, [LOAD, STAGES.format(tag=tag, wait=FOREVER)], dark=dark, width=width)
    page.run_all()
    build = page.locator(".labc-build")
    running = build.locator(".labc-step[data-status=running]")
    expect(running).to_have_count(2)
    expect(running.nth(0).locator(".labc-output")).to_contain_text("up")
    expect(running.nth(1).locator(".labc-output")).to_contain_text("up")
    # FROM scratch needs nothing
    assert statuses(build)[8:] == ["cached", "waiting", "waiting", "waiting"]
    expect(build.locator(".labc-step").nth(7).locator(".labc-lane")).to_have_count(2)
    picture(build, f"running-{tag}")
    # the cell is busy with the build, and the button is heard nevertheless
    build.get_by_role("button", name="Cancel", exact=True).click()
    expect(build.locator(".labc-head .labc-badge")).to_have_text("cancelled")
    assert statuses(build)[1:] == ["done", "done", "cancelled", "cached", "done", "done", "cancelled", "cached", *["waiting"] * 3]
    expect(build.locator(".labc-step").last.locator(".labc-badge")).to_have_text("not begun")
    expect(build.locator(".labc-result")).to_contain_text("cancelled")
    expect(build.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    error = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedText").last
    expect(error).to_contain_text("the build was stopped: cancelled")
    expect(error).not_to_contain_text("Traceback")
    # why a step was not in the cache is told by the row that opens
    step = build.locator(".labc-step").nth(2)
    step.locator(".labc-step-head").click()
    expect(step.locator(".labc-step-reason")).to_have_text("not from the cache: never done here before")
    expect(step.locator(".labc-output")).to_contain_text("one saw two")
    picture(build, f"cancelled-{tag}")


def test_finished_stages_are_kept_as_html(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, STAGES.format(tag="kept", wait="echo done")])
    page.run_all()
    build = page.locator(".labc-build")
    expect(build.locator(".labc-head .labc-badge")).to_have_text("built")
    assert statuses(build)[8:] == ["cached", "done", "done", "done"]
    expect(build.locator(".labc-step").nth(7).locator(".labc-step-size")).to_have_text("2.01 MB")
    picture(build, "built")
