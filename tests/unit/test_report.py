"""The rollout report: what it says, that it cannot be made to say something else, and that it stays usable."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import pytest

from fleet.plan.site_plan import FileChanges, PlannedChange
from fleet.rollout.events import RunState, Verdict
from fleet.rollout.progress import RingState, SiteState, StepState
from fleet.web import report_text as text
from fleet.web.report import (
    FailureReport,
    Finding,
    ModelReport,
    Report,
    ReportError,
    ResourceCounts,
    RingReport,
    RunReport,
    SiteReport,
    StepReport,
    ValidationReport,
    verdict_sentence,
    verdict_tone,
)
from fleet.web.report_page import DETAIL_LIMIT, TABLE_LIMIT, render_report

START = 1768383125.0  # 2026-01-14 09:32:05 UTC
VOID = {"meta", "input", "br", "hr", "link", "img"}


def site(name: str, ring: str = "broad", state: SiteState = SiteState.HEALTHY) -> SiteReport:
    begun = state not in (SiteState.PENDING, SiteState.SKIPPED)
    last = {SiteState.FAILED: StepState.FAILED, SiteState.STUCK: StepState.RUNNING}.get(state, StepState.DONE)
    return SiteReport(
        name=name,
        ring=ring,
        canary=ring == "canary",
        topology="distributed",
        connectivity="disconnected",
        nodes=2,
        gpu="",
        models=(ModelReport("phi-4-mini", "foundry-local", "cpu", 1),),
        agents=("maf-agent-api",),
        state=state,
        spec_digest="sha256:" + "a" * 64,
        manifests_digest="sha256:" + "b" * 64,
        counts=ResourceCounts(create=1, update=1),
        changes=(
            PlannedChange("create", "azure-native:storage:StorageAccount", f"{name}-witness"),
            PlannedChange("update", "azure-native:azurestackhci:Cluster", f"{name}-cluster", ("tags.env",)),
        ),
        files=FileChanges(added=("agents/deployment.yaml",)),
        steps=(
            StepReport("publish", StepState.DONE, 1, 0.4, "20 files"),
            StepReport("deploy", last, 1, None if last is StepState.RUNNING else 30.0),
        )
        if begun
        else (),
        verdict=Verdict.HEALTHY if state is SiteState.HEALTHY else None,
    )


def report(*sites: SiteReport, state: RunState = RunState.COMPLETED, reason: str = "") -> Report:
    """A report over rings canary and broad; the second is done only if the run completed."""
    sites = sites or (site("turin", "canary"), site("graz"), site("narvik"))
    done = RingState.DONE if state is RunState.COMPLETED else RingState.RUNNING
    rings = tuple(
        RingReport(name, order, 600, status, tuple(s.name for s in sites if s.ring == name))
        for order, (name, status) in enumerate((("canary", RingState.DONE), ("broad", done)), 1)
    )
    run = RunReport("r-1", "platform", state, reason, START, START + 742)
    return Report("factory", START + 800, "0.1.0", "sha256:" + "c" * 64, run, False, rings, sites)


def failing(state: RunState = RunState.STOPPED) -> Report:
    why = FailureReport("QuotaExceeded", "no GPU is left", "Free a GPU, then run `fleet rollout resume r-1`")
    graz = replace(site("graz", state=SiteState.FAILED), failure=why)
    return report(site("turin", "canary"), graz, site("narvik", state=SiteState.PENDING), state=state)


def big(number: int, changed: bool = True) -> Report:
    states = {7: SiteState.FAILED, 11: SiteState.STUCK}
    sites = tuple(
        site(f"store-{i:05}", "broad" if i else "canary", states.get(i, SiteState.HEALTHY))
        for i in range(number)
    )
    if not changed:
        empty = {"changes": (), "counts": ResourceCounts(same=9), "files": FileChanges()}
        sites = tuple(s if s.state in states.values() else replace(s, **empty) for s in sites)
    return report(*sites, state=RunState.STOPPED)


class Page(HTMLParser):
    """Fails on tags that do not balance; keeps what the assertions ask for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} occurs twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]} at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


# --- the verdict ---------------------------------------------------------------------------------


def test_success_in_one_sentence():
    assert verdict_sentence(report()) == "3 of 3 sites healthy. Nothing failed."
    assert verdict_tone(report()) == "ok"


def test_a_stop_names_ring_site_step_and_what_was_not_touched():
    assert (
        verdict_sentence(failing()) == "Stopped in ring broad: graz failed at deploy; 1 site was not touched."
    )
    assert verdict_tone(failing()) == "bad"


@pytest.mark.parametrize(
    ("states", "run", "reason", "said", "tone"),
    [
        ("hs", "completed", "", "1 of 2 sites healthy; 1 already as planned and left alone. Nothing failed.", "ok"),
        ("ss", "completed", "", "Nothing to do: all 2 sites are already as planned.", "ok"),
        ("ha", "completed", "", "1 of 2 sites healthy; 1 site applied but not judged. Nothing failed.", "warn"),
        ("hf", "completed", "", "Completed, but s1 failed at deploy. 1 of 2 sites healthy.", "bad"),
        ("hr", "running", "", "In progress in ring broad: 1 of 2 sites healthy; 1 site in change. "
         "Nothing has failed so far.", "live"),
        ("hfp", "running", "", "In progress in ring broad: s1 failed at deploy; 1 of 3 sites healthy; "
         "1 site is waiting.", "bad"),
        ("hpp", "paused", "held for the night.", "Paused in ring broad: held for the night; "
         "2 sites are waiting.", "warn"),
        ("hp", "aborted", "", "Aborted in ring broad: 1 site was not touched.", "warn"),
        ("hu", "stopped", "the gate was not met", "Stopped in ring broad: the gate was not met; "
         "1 site stuck in a slow step.", "bad"),
        ("hffffp", "stopped", "", "Stopped in ring broad: s1, s2 and 2 more failed at deploy; "
         "1 site was not touched.", "bad"),
    ],
)  # fmt: skip
def test_verdicts(states, run, reason, said, tone):
    kinds = {kind: SiteState(name) for kind, name in zip("hsarfup", (
        "healthy", "skipped", "applied", "running", "failed", "stuck", "pending"), strict=True)}  # fmt: skip
    sites = [site(f"s{i}", "broad" if i else "canary", kinds[kind]) for i, kind in enumerate(states)]
    value = report(*sites, state=RunState(run), reason=reason)
    assert verdict_sentence(value) == said
    assert verdict_tone(value) == tone
    assert said in Page(render_report(value)).text


def test_a_failed_health_check_is_told_from_a_failed_step():
    sick = replace(site("graz", state=SiteState.FAILED), verdict=Verdict.UNHEALTHY, reasons=("no answer",),
                   steps=(StepReport("deploy", StepState.DONE, 1, 3.0),))  # fmt: skip
    value = report(site("turin", "canary"), sick, state=RunState.STOPPED)
    assert verdict_sentence(value).startswith("Stopped in ring broad: graz failed its health check;")
    assert "no answer" in Page(render_report(value)).text


def test_a_rollout_of_nothing_is_said_to_be_one():
    run = RunReport("r-1", "platform", RunState.COMPLETED, "", START, START)
    empty = Report("factory", START, "0.1.0", "sha256:00", run, False, (), ())
    assert "No site is part of this rollout." in Page(render_report(empty)).text


# --- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [report, failing, lambda: big(300), lambda: failing(RunState.RUNNING)])
def test_page_is_well_formed_and_accessible(make):
    page = Page(render_report(make()))
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("footer")) == 1
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.all("a") + page.all("use"):
        assert attrs["href"] is not None and attrs["href"][1:] in ids, f"{attrs['href']} leads nowhere"
    for _, attrs in page.tags:
        if "aria-labelledby" in attrs:
            assert attrs["aria-labelledby"] in ids
        assert not [name for name in attrs if name.startswith("on")]


def test_page_loads_nothing():
    html = render_report(failing())
    for _, attrs in Page(html).tags:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert name not in attrs
        assert (attrs.get("href") or "#").startswith("#")
    assert not re.search(r"https?://|@import|url\(|fetch\(|import\(", html)


def test_hostile_text_stays_text():
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    victim = replace(
        site(evil, state=SiteState.FAILED), topology=evil, connectivity=evil, gpu=evil, agents=(evil,),
        models=(ModelReport(evil, evil, evil, 1),), notes=(evil, f"`{evil}`"), reasons=(evil,),
        changes=(PlannedChange(evil, evil, evil, (evil,)),), files=FileChanges((evil,), (evil,), (evil,)),
        spec_digest=evil, steps=(StepReport(evil, StepState.FAILED, 2, 3.0, evil),),
        failure=FailureReport(evil, evil, evil),
    )  # fmt: skip
    value = report(site("turin", "canary"), victim, state=RunState.STOPPED, reason=evil)
    value = replace(
        value, fleet=evil, tool_version=evil, plan_digest=evil, notes=(evil,),
        validation=ValidationReport(1, 0, (Finding(evil, evil, evil, "error"),)),
    )  # fmt: skip
    page = Page(render_report(value))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert evil in page.text


def test_invisible_characters_are_shown():
    hidden = "\x1b[31mred\x1b[0m \x00 \u202eevil\u2066 \ud800"
    html = render_report(report(replace(site("graz"), notes=(hidden,), gpu=hidden), site("turin", "canary")))
    assert (
        html.count("red \ufffd \ufffdevil\ufffd \ufffd") == 4
    )  # the note here and at the end, the GPU twice
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2066]", html)
    html.encode("utf-8")


def test_equal_reports_give_equal_bytes():
    assert render_report(failing()) == render_report(failing())
    shuffled = replace(failing(), sites=failing().sites[::-1], rings=failing().rings[::-1])
    assert render_report(shuffled) == render_report(failing())


def test_stand_in_is_shown_first_and_only_where_it_was_one():
    page = Page(render_report(replace(report(), stand_in=True)))
    body = page.text.split(" rollout: ", 1)[1]
    assert body.index("This ran against the sandbox, a stand-in for Azure.") < body.index("Key numbers")
    assert "the sandbox, a stand-in for Azure" in body.split("Made by")[1]
    assert page.text.startswith("Sandbox: ")
    assert "No Azure resource was created or changed" in body.split("What was not done")[1]
    assert "sandbox" not in Page(render_report(report())).text.lower()


def test_a_failure_stands_before_everything_else():
    body = Page(render_report(failing())).text
    top = body[: body.index("Key numbers")]
    for part in ("QuotaExceeded", "no GPU is left", "What to do next", "Free a GPU, then run", "graz"):
        assert part in top
    assert "<code>fleet rollout resume r-1</code>" in render_report(failing())
    assert "What to do next" not in Page(render_report(report())).text


def test_a_failure_without_a_report_tells_what_the_step_said():
    graz = site("graz", state=SiteState.FAILED)
    graz = replace(graz, steps=(*graz.steps[:1], replace(graz.steps[1], message="boom at 03:00")))
    text_ = Page(render_report(report(site("turin", "canary"), graz, state=RunState.STOPPED))).text
    assert "boom at 03:00" in text_[: text_.index("Key numbers")]


def test_one_cause_at_many_sites_reads_as_one():
    why = FailureReport("AuthorizationFailed", "denied", "Grant the role.")
    sites = [replace(site(f"s{i}", state=SiteState.FAILED), failure=why) for i in range(9)]
    page = render_report(report(site("turin", "canary"), *sites, state=RunState.STOPPED))
    top = page[: page.index("h-numbers")]
    assert top.count("Grant the role.") == 1
    assert "Failed at deploy, 9 sites" in top
    assert "s8</a>" in top


def test_what_changed_and_what_was_not_done_are_told():
    note = "The model was not copied."
    sites = (site("turin", "canary"), *(replace(site(name), notes=(note,)) for name in ("graz", "narvik")))
    page = Page(render_report(report(*sites)))
    assert "Created 1 graz-witness azure-native:storage:StorageAccount" in page.text
    assert "tags.env" in page.text and "agents/deployment.yaml" in page.text
    left = page.text.split("What was not done")[1]
    assert left.count(note) == 1 and "graz , narvik" in left
    assert "narvik" in Page(render_report(failing())).text.split("What was not done")[1]
    assert "Resources that would change" in Page(render_report(failing())).text


def test_digests_are_whole_in_the_title_and_for_copying():
    digest = "sha256:" + "c" * 64
    assert f'<code class="digest" title="{digest}">{digest}</code>' in render_report(report())


def test_times_come_from_the_report_alone():
    page = Page(render_report(report())).text
    assert "2026-01-14 09:32:05 UTC" in page and "12 min 22 s" in page
    assert "2026-01-14 09:45:25 UTC" in page.split("Made at")[1]
    going = report(state=RunState.RUNNING)
    going = replace(going, run=replace(going.run, finished=None))
    assert "Time so far 13 min 20 s" in Page(render_report(going)).text


# --- size ----------------------------------------------------------------------------------------


def test_up_to_the_limit_every_site_has_details():
    assert len(details(big(DETAIL_LIMIT, changed=False))) == DETAIL_LIMIT


def test_a_thousand_sites_stay_readable():
    html = render_report(big(1000))
    found = details(big(1000))
    assert len(found) == DETAIL_LIMIT
    assert "store-00007" in found and "store-00011" in found
    assert f"Details follow for {DETAIL_LIMIT} sites" in html
    assert html.count('<th scope="row">') >= 1000
    assert len(html.encode()) < 2_000_000


def test_in_a_large_fleet_details_are_for_what_failed_or_changed():
    assert details(big(1000, changed=False)) == ["store-00007", "store-00011"]


def test_a_cut_table_says_so_and_keeps_what_failed():
    number = TABLE_LIMIT + 500
    page = Page(render_report(big(number, changed=False)))
    assert f"{TABLE_LIMIT:,} of {number:,} sites" in page.text
    rows = [attrs for attrs in page.all("tr") if "data-s" in attrs]
    assert [row["data-s"] for row in rows[:3]] == ["failed", "stuck", "healthy"]
    assert len(rows) == TABLE_LIMIT


def test_a_site_with_too_many_changes_says_how_many_are_left_out():
    changes = tuple(PlannedChange("create", "t", f"r{i}") for i in range(1000))
    page = Page(render_report(report(replace(site("graz"), changes=changes), site("turin", "canary"))))
    assert "Created 1,000" in page.text
    assert "and 800 more, not listed here" in page.text


def details(value: Report) -> list[str]:
    return re.findall(r'<summary><span class="name">([^<]+?) ?<', render_report(value))


# --- bad input, words and colours ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: replace(r, sites=r.sites[:-1]), "site narvik is in a ring but not reported"),
        (lambda r: replace(r, sites=(*r.sites, r.sites[0])), "site turin is reported twice"),
        (lambda r: replace(r, rings=r.rings * 2), "site turin stands twice"),
        (lambda r: replace(r, rings=r.rings[:1]), "site graz is not in the ring broad"),
    ],
)
def test_a_report_that_contradicts_itself_is_refused(change, said):
    with pytest.raises(ReportError, match=said):
        change(report())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.00 s"), (-1, "0.00 s"), (0.42, "0.42 s"), (0.999, "1.0 s"), (59.97, "1 min 00 s"), (84.3, "1 min 24 s"),
     (3599.7, "1 h 00 min"), (7980, "2 h 13 min"), (86_399, "1 d 0 h"), (190_000, "2 d 4 h")],
)  # fmt: skip
def test_durations(seconds, said):
    assert text.duration(seconds) == said


@pytest.mark.parametrize("longest", [0, 0.004, 0.03, 1, 7, 94, 3600, 50_000, 10_000_000])
def test_marks_are_few_and_within_the_scale(longest):
    marks = text.ticks(longest)
    assert marks[0] == 0 and marks[-1] <= longest and len(marks) <= 7
    assert longest < 0.02 or len(marks) >= 3


def test_backticks_become_code_and_an_odd_one_stays():
    assert text.prose("run `a <b>` now") == "run <code>a &lt;b&gt;</code> now"
    assert text.prose("run `a` and ` that") == "run <code>a</code> and ` that"


def test_colours_meet_wcag_aa():
    css = resources.files("fleet.web").joinpath("report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    themes = [dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6})\b", block)) for block in blocks]
    assert len(themes) == 3  # light, dark, print
    for theme in themes:
        for tone in ("ok", "bad", "warn", "live", "idle"):
            for ground in ("bg", "surface", f"{tone}-bg"):
                assert contrast(theme[tone], theme[ground]) >= 4.5, (tone, ground, theme)
        for ink in ("ink", "muted", "link"):
            assert min(contrast(theme[ink], theme[ground]) for ground in ("bg", "surface")) >= 4.5, ink
        assert contrast(theme["ink"], theme["idle-bg"]) >= 4.5
        for bar in ("t1", "t2", "t3", "t4", "t5", "bad"):
            assert contrast(theme[bar], theme["surface"]) >= 3, bar


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
