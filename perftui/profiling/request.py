"""Which profile is wanted where nobody chose: what the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perftui.snapshot import ProfileRequest

if TYPE_CHECKING:
    from perftui.config import Profile


def default_request(profile: Profile) -> ProfileRequest:
    """Return the request that the section of the settings makes."""
    return ProfileRequest(
        mode=profile.mode,
        gil=profile.gil,
        idle=profile.idle,
        native=profile.native,
        subprocesses=profile.subprocesses,
        window=profile.window,
    )
