"""Pictures of the Servers pane that were accepted; `--snapshot-update` renews them."""

from __future__ import annotations

import pytest
from dashboard_app import make_app
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import SIZES, picture


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [("6",), ("6", "enter", "down")])
async def test_servers(
    keys: tuple[str, ...], size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    svg = await picture(make_app(), size, keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_servers_in_ascii_without_colour(snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(ascii_only=True, colour=False), (120, 40), ("6", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
