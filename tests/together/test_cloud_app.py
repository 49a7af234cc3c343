"""The app and the cloud: what would leave is shown and asked about, and what comes in late is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_server import ScriptedEngine
from real_cloud import RealCloud, enrolled, real_cloud
from terminal_app import notice, opened, ready, said, screen_text, settled, tell, texts, wait_until

from mnemon.privacy.consent import Consent as Permissions
from mnemon.privacy.ledger import Ledger
from mnemon.sync.parcel import Parcel
from mnemon.terminal.app import MnemonApp
from mnemon.terminal.screens.consent import Consent

TOLD = "My sister Ines Ferrer wants a contract."  # news: nothing that is asked about by itself


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RealCloud]:
    with real_cloud(tmp_path, ScriptedEngine(words=("Tell [PERSON_1] ", "two pages."))) as running:
        yield running


def asking(app: MnemonApp) -> bool:
    return isinstance(app.screen, Consent)


async def test_the_exact_words_are_shown_and_yes_sends_them(own_home: Path, cloud: RealCloud) -> None:
    with opened(own_home, "I do not know.") as app:
        enrolled(app.assistant.memory.store, cloud)
        async with app.run_test(size=(110, 40)) as pilot:
            await ready(pilot)
            await tell(pilot, TOLD)
            await pilot.press("alt+c")
            await wait_until(pilot, lambda: asking(app))
            shown = screen_text(app)
            assert "My sister [PERSON_1] wants a contract." in shown
            assert "My sister Ines Ferrer wants a contract." in shown
            assert cloud.seen == []
            await pilot.press("enter")  # alone is no
            await settled(pilot)
            assert "kept on this device" in notice(app)
            assert len(texts(app)) == 2
            assert cloud.seen == []
            await pilot.press("alt+c")
            await wait_until(pilot, lambda: asking(app))
            await pilot.press("y")
            await settled(pilot)
            assert texts(app)[-1] == "Tell Ines Ferrer two pages."
            assert "cloud" in app.chat.transcript.views[-1].header()
            assert app.chat.status.route == "cloud"
            assert app.chat.status.reason
            assert cloud.seen == [e.text for e in Ledger(app.assistant.memory.store).entries()]
            await pilot.press("alt+f")
            await wait_until(pilot, lambda: "stay on this device" in said(app))
            wanted = app.assistant.memory.store.tuples("SELECT wanted FROM routing_verdicts")
            assert wanted == [("local",)]


@pytest.mark.slow
async def test_a_topic_can_be_allowed_on_the_way(own_home: Path, cloud: RealCloud) -> None:
    with opened(own_home, "I do not know.") as app:
        enrolled(app.assistant.memory.store, cloud)
        async with app.run_test(size=(110, 40)) as pilot:
            await ready(pilot)
            await tell(pilot, TOLD)
            await pilot.press("alt+c")
            await wait_until(pilot, lambda: asking(app))
            await pilot.press("t")
            await wait_until(pilot, lambda: bool(app.screen.query("Input")))
            await pilot.press(*"contract", "enter")
            await settled(pilot)
            assert len(cloud.seen) == 1
            assert [
                p.topic for p in Permissions(app.assistant.memory.store, "ask", app.assistant.now).permissions()
            ] == ["contract"]


@pytest.mark.slow
async def test_leaving_while_it_asks_sends_nothing(own_home: Path, cloud: RealCloud) -> None:
    with opened(own_home, "I do not know.") as app:
        enrolled(app.assistant.memory.store, cloud)
        async with app.run_test(size=(110, 40)) as pilot:
            await ready(pilot)
            await tell(pilot, TOLD)
            await pilot.press("alt+c")
            await wait_until(pilot, lambda: asking(app))
            await pilot.press("ctrl+q")
            await wait_until(pilot, lambda: not app.is_running)
    assert cloud.seen == []


async def test_without_a_cloud_it_says_how_to_get_one(own_home: Path) -> None:
    with opened(own_home, "I do not know.") as app:
        async with app.run_test(size=(110, 40)) as pilot:
            await ready(pilot)
            await tell(pilot, TOLD)
            await pilot.press("alt+c")
            await settled(pilot)
            assert "mnemon cloud enroll INVITE" in notice(app)


async def test_what_waited_is_sent_and_told(own_home: Path, cloud: RealCloud) -> None:
    with opened(own_home, "I do not know.") as app:
        enrolled(app.assistant.memory.store, cloud)
        async with app.run_test(size=(110, 40)) as pilot:
            await ready(pilot)
            await tell(pilot, TOLD)
            question = app.chat.transcript.views[0].message
            assert question is not None
            parcel = Parcel("How long, [PERSON_1]?", {"[PERSON_1]": "Ines Ferrer"}, (question.memory_id,))
            app.assistant.cloud.outbox.add(question.id, parcel)
            app.chat.look_after_outbox()
            await wait_until(pilot, lambda: "The cloud has answered" in notice(app))
            assert texts(app)[-1] == "Tell Ines Ferrer two pages."
            assert app.assistant.cloud.outbox.entries() == []
