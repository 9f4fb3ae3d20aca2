"""Mailbox: newest wins, doorbell, waiting."""

from __future__ import annotations

import threading

from perftui.mailbox import Mailbox


def test_newest_replaces_what_nobody_fetched() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert mailbox.latest() is None
    mailbox.put(1)
    mailbox.put(2)
    assert mailbox.latest() == 2


def test_doorbell_rings_on_the_putting_thread_and_can_be_removed() -> None:
    mailbox: Mailbox[int] = Mailbox()
    rings: list[int] = []
    mailbox.on_delivery(lambda: rings.append(threading.get_ident()))
    mailbox.put(1)
    mailbox.on_delivery(None)
    mailbox.put(2)
    assert rings == [threading.get_ident()]


def test_wait_returns_the_first_accepted_item_or_none() -> None:
    mailbox: Mailbox[int] = Mailbox()
    threading.Timer(0.05, mailbox.put, [5]).start()
    assert mailbox.wait(5.0, lambda item: item == 5) == 5
    assert mailbox.wait(0.05, lambda item: item == 6) is None
