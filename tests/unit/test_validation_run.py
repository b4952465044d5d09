"""How `orthweb validate` runs its checks: at the same time, in order of need, for so long, and to an orderly end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orthweb.errors import Failure
from orthweb.validation import Check, Result, Status, validate
from orthweb.validation.look import Look
from orthweb.validation.samples.test_data import RunOver, TestData
from orthweb.validation.target import Credentials, DicomDoor, Target, WebDoor

# Nobody waits so long: it is the end of a test that hangs.
_LONG = 30.0


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A site that is down: nothing listens on port 1."""
    web = WebDoor("127.0.0.1", 1, plain=True, credentials=Credentials("someone", "secret"))
    return Target("down", ("127.0.0.1",), web, DicomDoor("127.0.0.1", 1, "ORTHANC"), tmp_path / "state")


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hangs in a test goes on when this is set, at the latest at the test's end."""
    event = threading.Event()
    yield event
    event.set()


def passes(look: Look) -> str:
    return "seen"


def fails(look: Look) -> str:
    look.fail("it is broken", "mend it")


def notes(target: Target) -> list[str]:
    return sorted(path.name for path in target.state.rglob("study-*"))


def by_name(results: tuple[Result, ...]) -> dict[str, Result]:
    return {result.check.id: result for result in results}


def test_independent_checks_are_made_at_the_same_time(target: Target) -> None:
    meeting = threading.Barrier(3)

    def meets(look: Look) -> str:
        meeting.wait(_LONG)
        return "met"

    report = validate(target, [Check(f"a.{name}", "They meet.", meets) for name in "xyz"])
    assert report.good and report.count(Status.PASSED) == 3


def test_a_check_comes_after_what_it_needs(target: Target) -> None:
    seen: list[str] = []

    def remembers(name: str) -> Callable[[Look], str]:
        def remember(look: Look) -> str:
            seen.append(name)
            return name

        return remember

    first = Check("a.first", "First.", remembers("first"))
    second = Check("a.second", "Second.", remembers("second"), needs=(first,))
    third = Check("a.third", "Third.", remembers("third"), needs=(first, second))
    validate(target, [first, second, third])
    assert seen == ["first", "second", "third"]


def test_results_are_told_as_they_come_and_reported_in_the_order_of_the_checks(
    target: Target, released: threading.Event
) -> None:
    def slow(look: Look) -> str:
        released.wait(_LONG)
        return "late"

    told: list[str] = []

    def heard(result: Result) -> None:
        told.append(result.check.id)
        released.set()

    report = validate(target, [Check("a.slow", "Slow.", slow), Check("a.quick", "Quick.", passes)], heard)
    assert told == ["a.quick", "a.slow"]
    assert [result.check.id for result in report.results] == ["a.slow", "a.quick"]


def test_a_check_is_skipped_when_what_it_needs_did_not_pass(target: Target) -> None:
    def skips(look: Look) -> str:
        look.skip("a part is missing")

    broken, absent = Check("a.broken", "Broken.", fails), Check("a.absent", "Absent.", skips)
    left_out = Check("a.left-out", "Left out.", passes)
    checks = [
        broken,
        absent,
        Check("b.one", "One.", passes, needs=(broken,)),
        Check("b.two", "Two.", passes, needs=(absent,)),
        Check("b.three", "Three.", passes, needs=(left_out,)),
    ]
    checks.append(Check("b.four", "Four.", passes, needs=(checks[2],)))
    results = by_name(validate(target, checks).results)
    assert results["a.absent"].status is Status.SKIPPED
    assert results["a.absent"].message == "a part is missing"
    reasons = {name: results[name].message for name in ("b.one", "b.two", "b.three", "b.four")}
    assert reasons == {
        "b.one": "it needs a.broken, which failed",
        "b.two": "it needs a.absent, which was skipped",
        "b.three": "it needs a.left-out, which was left out",
        "b.four": "it needs b.one, which was skipped",
    }
    assert all(results[name].status is Status.SKIPPED for name in reasons)


def test_a_warning_is_good_enough_for_what_needs_it(target: Target) -> None:
    def warns(look: Look) -> str:
        look.warn("it is old", "renew it")
        return "seen"

    old = Check("a.old", "Old.", warns)
    results = by_name(validate(target, [old, Check("a.next", "Next.", passes, needs=(old,))]).results)
    assert (results["a.old"].status, results["a.old"].message) == (Status.WARNING, "it is old")
    assert results["a.next"].status is Status.PASSED


def test_a_check_of_the_inside_is_skipped_where_there_is_no_inside_view(target: Target) -> None:
    def never(look: Look) -> str:
        raise AssertionError("it was made")

    (result,) = validate(target, [Check("a.inside", "Inside.", never, inside=True)]).results
    assert (result.status, result.message) == (Status.SKIPPED, "it needs an inside view of the site")


def test_a_check_that_does_not_end_fails_in_its_time_and_holds_up_nobody(
    target: Target, released: threading.Event
) -> None:
    def hangs(look: Look) -> str:
        released.wait(_LONG)
        return "too late"

    hanging = Check("a.hanging", "Hangs.", hangs, limit=0.2)
    told: list[Result] = []
    checks = [hanging, Check("a.other", "Other.", passes), Check("a.next", "Next.", passes, needs=(hanging,))]
    report = validate(target, checks, told.append)
    results = by_name(report.results)
    assert results["a.hanging"].status is Status.FAILED
    assert results["a.hanging"].message == "no end after 0.2 s"
    assert results["a.hanging"].remedy
    assert results["a.other"].status is Status.PASSED
    assert results["a.next"].message == "it needs a.hanging, which failed"
    assert [result.check.id for result in told].count("a.hanging") == 1


def test_what_a_check_says_after_its_time_is_not_told(target: Target, released: threading.Event) -> None:
    late = threading.Event()

    def hangs(look: Look) -> str:
        released.wait(_LONG)
        late.set()
        return "too late"

    def waits(look: Look) -> str:
        # Ends after the late one has.
        assert late.wait(_LONG)
        return "seen"

    told: list[Result] = []

    def heard(result: Result) -> None:
        told.append(result)
        released.set()

    checks = [Check("a.hanging", "Hangs.", hangs, limit=0.2), Check("a.waiting", "Waits.", waits)]
    validate(target, checks, heard)
    assert [(result.check.id, result.status) for result in told] == [
        ("a.hanging", Status.FAILED),
        ("a.waiting", Status.PASSED),
    ]


def test_a_check_that_breaks_off_fails_and_the_others_go_on(target: Target) -> None:
    def breaks(look: Look) -> str:
        look.saw("so far", "all well")
        raise ZeroDivisionError("by zero")

    results = by_name(
        validate(target, [Check("a.broken", "Broken.", breaks), Check("a.other", "Other.", passes)]).results
    )
    broken = results["a.broken"]
    assert broken.status is Status.FAILED
    assert broken.message == "the check itself broke off: ZeroDivisionError: by zero"
    assert broken.remedy
    assert [evidence.name for evidence in broken.evidence] == ["so far"]
    assert results["a.other"].status is Status.PASSED


def test_errors_of_the_site_are_told_in_their_own_words(target: Target) -> None:
    def refused(look: Look) -> str:
        raise ConnectionRefusedError(111, "Connection refused")

    def fails_with_advice(look: Look) -> str:
        raise Failure("the disk is full", "make room")

    checks = [Check("a.refused", "Refused.", refused), Check("a.full", "Full.", fails_with_advice)]
    results = by_name(validate(target, checks).results)
    assert (results["a.refused"].message, bool(results["a.refused"].remedy)) == ("Connection refused", True)
    assert (results["a.full"].message, results["a.full"].remedy) == ("the disk is full", "make room")


def test_the_worst_of_what_a_check_found_is_its_message(target: Target) -> None:
    def finds(look: Look) -> str:
        look.warn("one is old", "renew it")
        look.wrong("one is broken", "mend it")
        return "seen"

    (result,) = validate(target, [Check("a.several", "Several.", finds)]).results
    assert (result.status, result.message, result.remedy) == (Status.FAILED, "one is broken", "mend it")
    assert len(result.findings) == 2


def test_only_so_many_checks_are_made_at_once(target: Target) -> None:
    most = present = 0
    lock = threading.Lock()
    twelve = threading.Semaphore(0)

    def counts(look: Look) -> str:
        nonlocal most, present
        with lock:
            present += 1
            most = max(most, present)
            if present == 12:
                twelve.release(40)
        # The first twelve wait for each other, so that all twelve are there at once.
        assert twelve.acquire(timeout=_LONG)
        with lock:
            present -= 1
        return "seen"

    report = validate(target, [Check(f"a.{number}", "Many.", counts) for number in range(40)])
    assert report.good and most == 12


def test_a_run_that_stores_nothing_says_nothing_of_test_data(target: Target) -> None:
    report = validate(target, [Check("a.quick", "Quick.", passes)])
    assert [result.check.id for result in report.results] == ["a.quick"]
    assert not notes(target)


def test_test_data_that_cannot_be_removed_is_told_and_remembered(target: Target) -> None:
    def stores(look: Look) -> str:
        with look.data.store(lambda: None):
            return "stored"

    report = validate(target, [Check("a.stores", "Stores.", stores)])
    removed = by_name(report.results)["data.removed"]
    assert removed.status is Status.FAILED
    assert "Connection refused" in removed.message
    assert "ORTHWEB^VALIDATION" in removed.remedy
    (note,) = notes(target)
    assert note.endswith(".answered")
    # The next run, which stores nothing itself, tries again and says so.
    (_, again) = validate(target, [Check("a.quick", "Quick.", passes)]).results
    assert (again.check.id, again.status) == ("data.removed", Status.FAILED)
    assert notes(target) == [note]


def test_test_data_that_are_to_be_kept_are_not_noted(target: Target) -> None:
    def stores(look: Look) -> str:
        look.data.will_store()
        return "stored"

    report = validate(target, [Check("a.stores", "Stores.", stores)], keep=True)
    assert [result.check.id for result in report.results] == ["a.stores"]
    assert not notes(target)


def test_nothing_is_stored_where_it_cannot_be_noted(target: Target) -> None:
    target.state.write_text("a file where the notes' folder should be")
    stored: list[str] = []

    def stores(look: Look) -> str:
        with look.data.store(lambda: None):
            stored.append("stored")
        return "stored"

    result = by_name(validate(target, [Check("a.stores", "Stores.", stores)]).results)["a.stores"]
    assert result.status is Status.FAILED and "nothing was stored" in result.message
    assert str(target.state) in result.message
    assert not stored


@pytest.mark.parametrize("ending", [KeyboardInterrupt, BrokenPipeError])
def test_an_interrupted_run_removes_its_test_data_and_stores_no_more(
    target: Target, released: threading.Event, ending: type[BaseException]
) -> None:
    told: list[str] = []
    refused = threading.Event()

    def stores(look: Look) -> str:
        with look.data.store(lambda: None):
            pass
        return "stored"

    def stores_later(look: Look) -> str:
        released.wait(_LONG)
        try:
            with look.data.store(lambda: None):
                return "stored after the end"
        except RunOver:
            refused.set()
            raise

    def heard(result: Result) -> None:
        told.append(result.check.id)
        if result.check.id == "a.stores":
            raise ending

    checks = [Check("a.later", "Later.", stores_later), Check("a.stores", "Stores.", stores)]
    with pytest.raises(ending):
        validate(target, checks, heard)
    # The site is down: that it could not be removed is told, and noted for the next run.
    assert told == ["a.stores", "data.removed"]
    assert len(notes(target)) == 1
    released.set()
    assert refused.wait(_LONG)


def test_a_store_that_is_under_way_when_a_run_is_interrupted_comes_to_its_end(target: Target) -> None:
    entered, stored = threading.Event(), threading.Event()

    def stores(look: Look) -> str:
        with look.data.store(lambda: None):
            entered.set()
            # What the run waits for: it ends only after the run has been interrupted.
            ended.wait(_LONG)
            stored.set()
        return "stored"

    ended = threading.Event()

    def waits(look: Look) -> str:
        assert entered.wait(_LONG)
        return "seen"

    def heard(result: Result) -> None:
        if result.check.id == "a.waits":
            threading.Timer(0.2, ended.set).start()
            raise KeyboardInterrupt
        assert stored.is_set(), "removed while a store was under way"

    with pytest.raises(KeyboardInterrupt):
        validate(target, [Check("a.stores", "Stores.", stores), Check("a.waits", "Waits.", waits)], heard)
    (note,) = notes(target)
    assert note.endswith(".answered")


@pytest.mark.parametrize("moments", [(0.5,), (0.5, 0.8)])
def test_who_interrupts_the_removal_is_heard_after_it_and_the_second_time_at_once(
    target: Target, released: threading.Event, moments: tuple[float, ...]
) -> None:
    main = threading.get_ident()

    def hangs(look: Look) -> str:
        with look.data.store(released.set):
            # The run is at its end by then: it waits for this last store.
            for seconds in moments:
                threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGINT)).start()
            released.wait(_LONG)
        return "stored"

    with pytest.raises(KeyboardInterrupt):
        validate(target, [Check("a.hanging", "Hangs.", hangs, limit=0.1)])
    (note,) = notes(target)
    # Who interrupts once waits until the store is interrupted as well, which this one takes for an answer.
    assert note.endswith(".answered" if len(moments) == 1 else ".open")


def test_a_check_whose_time_is_over_stores_no_more_when_the_run_ends(target: Target, released: threading.Event) -> None:
    outcome: list[str] = []
    done = threading.Event()

    def hangs(look: Look) -> str:
        with look.data.store(lambda: None):
            pass
        released.wait(_LONG)
        try:
            with look.data.store(lambda: None):
                outcome.append("stored after the removal")
        except RunOver:
            outcome.append("refused")
        done.set()
        return "late"

    results = by_name(validate(target, [Check("a.hanging", "Hangs.", hangs, limit=0.2)]).results)
    assert results["a.hanging"].status is Status.FAILED
    assert "data.removed" in results
    released.set()
    assert done.wait(_LONG)
    assert outcome == ["refused"]


def test_a_store_that_a_hanging_check_left_open_is_interrupted_and_looked_for_again(
    target: Target, released: threading.Event
) -> None:
    def hangs(look: Look) -> str:
        with look.data.store(released.set):
            released.wait(_LONG)
            raise ConnectionResetError(104, "Connection reset by peer")

    results = by_name(validate(target, [Check("a.hanging", "Hangs.", hangs, limit=0.2)]).results)
    assert released.is_set()
    assert results["data.removed"].status is Status.FAILED
    (note,) = notes(target)
    assert note.endswith(".open"), "nobody knows whether the store arrives"


def test_the_folder_of_the_test_data_is_gone_after_the_run(target: Target) -> None:
    seen: list[TestData] = []

    def makes(look: Look) -> str:
        seen.append(look.data)
        assert look.data.ct.path.exists()
        return "made"

    assert validate(target, [Check("a.makes", "Makes.", makes)]).good
    assert not seen[0].folder.exists()
