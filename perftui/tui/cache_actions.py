"""What keys do with the caches: views, sampled prefixes, the keys themselves, deletion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from perftui.cache.glob import escape
from perftui.cache.prefix_tally import Prefix
from perftui.snapshot import CacheNamespace
from perftui.tui.cache_view import CACHE_VIEWS, FIRST_SORT, CacheBy, CacheView, PrefixLook
from perftui.tui.pane_focus import PaneFocus
from perftui.tui.panes.cache_prefixes import typed
from perftui.tui.panes.cache_processes import ProcessRow
from perftui.tui.panes.cache_rows import TierRow

if TYPE_CHECKING:
    from perftui.tui.prefix_jobs import Sampling

CACHE = "cache"
SAMPLING_POLL = 0.25
"""Seconds between two looks at how far the sampling of prefixes is."""


def namespace_pattern(namespace: CacheNamespace) -> str:
    """Return the glob of the keys of a namespace as text to type, empty where it is not known."""
    if not namespace.prefixes:
        return ""
    return f"{typed(escape(namespace.prefixes[0].encode('utf-8', 'surrogatepass')))}*"


class CacheActions(PaneFocus):
    """The display of snapshots with everything that a person does with the caches."""

    wall: Callable[[], float]
    _sampling: Sampling | None = None

    def look_at_cache(self, view: CacheView) -> None:
        """Show the caches in another way."""
        changed = view.by != self.cache_view.by
        self.cache_view = view
        widget = self.dashboard.panes[CACHE]
        if changed:
            widget.sort_by(FIRST_SORT[view.by])
        if CACHE in self.dashboard.visible_panes():
            widget.redraw()
            if changed:
                widget.move_to_edge(-1)

    def action_next_cache_view(self) -> None:
        """List the caches by the next of namespaces, processes, commands and so on."""
        if self.dashboard.zoomed != CACHE:
            self.zoom_cache()
            return
        views: list[CacheBy] = list(CACHE_VIEWS)
        by = views[(views.index(self.cache_view.by) + 1) % len(views)]
        self.look_at_cache(replace(self.cache_view, by=by))
        self.say(f"Cache by {CACHE_VIEWS[by]}")

    def zoom_cache(self) -> None:
        """Show the cache alone."""
        self.action_focus_pane(CACHE)
        if self.dashboard.zoomed != CACHE:
            self.dashboard.zoomed = CACHE
            self.rearranged()

    def selected_pattern(self) -> str:
        """The pattern of the keys that the cursor of Cache is on, empty where it is on none."""
        pane = self.dashboard.panes[CACHE]
        if self.focused_pane is not pane:
            return ""
        match pane.selected:
            case TierRow(namespace=CacheNamespace() as namespace):
                return namespace_pattern(namespace)
            case ProcessRow(namespace=namespace):
                return namespace_pattern(namespace)
            case Prefix(pattern=pattern):
                return typed(pattern)
        return ""

    def _redis_url(self) -> str:
        """Return where the keys are, empty after saying how to tell perftui."""
        if not self.settings.redis.url:
            self.say("no Redis is configured: start with --redis URL", "warning")
        return self.settings.redis.url

    def action_sample_prefixes(self) -> None:
        """Sample which prefixes have the most keys and take the most memory, or cancel that."""
        if self._sampling is not None:
            self._sampling.job.cancel()
            self.say("the sampling of prefixes ends after the page under way")
            return
        url = self._redis_url()
        if not url:
            return
        from perftui.tui.prefix_jobs import sample_prefixes

        self._sampling = sample_prefixes(url)
        look = replace(self.cache_view.prefixes, progress=(0, 0), problem="")
        self.zoom_cache()
        self.look_at_cache(replace(self.cache_view, by="prefixes", prefixes=look))
        self.set_timer(SAMPLING_POLL, self._follow_sampling)

    def _follow_sampling(self) -> None:
        sampling = self._sampling
        if sampling is None:
            return
        job, look = sampling.job, self.cache_view.prefixes
        if not job.done:
            self.set_timer(SAMPLING_POLL, self._follow_sampling)
            progress = sampling.latest.newest or (0, 0)
            if progress != look.progress:
                self._show_prefixes(replace(look, progress=progress))
            return
        self._sampling = None
        samples = job.result
        if samples is None or (not samples.sampled and (samples.error or samples.cancelled)):
            problem = job.error if samples is None else samples.error
            # What was found before is still true of its time.
            self._show_prefixes(replace(look, progress=None, problem=problem))
            if samples is not None and samples.cancelled:
                self.say("cancelled before any key was seen")
        else:
            self._show_prefixes(PrefixLook(samples=samples, ended=time.monotonic()))

    def _show_prefixes(self, look: PrefixLook) -> None:
        self.look_at_cache(replace(self.cache_view, prefixes=look))

    async def action_invalidate(self) -> None:
        """Open the dialog that deletes keys by pattern."""
        url = self._redis_url()
        if not url:
            return
        if not self.actions_allowed:
            self.say("read-only: start with --allow-actions to invalidate", "warning")
            return
        from perftui.tui.invalidation_jobs import InvalidationJobs
        from perftui.tui.screens.invalidate import InvalidateScreen

        if not isinstance(self.screen, InvalidateScreen):
            pattern = self.selected_pattern()
            jobs = InvalidationJobs(url)
            await self.push_screen(InvalidateScreen(jobs, self.glyphs, pattern, self.wall))

    async def action_undo(self) -> None:
        """Open the dialog that puts deleted keys back."""
        url = self._redis_url()
        if not url:
            return
        if not self.actions_allowed:
            self.say("read-only: start with --allow-actions to put keys back", "warning")
            return
        from perftui.tui.screens.undo import UndoScreen
        from perftui.tui.undo_jobs import UndoJobs

        if not isinstance(self.screen, UndoScreen):
            await self.push_screen(UndoScreen(UndoJobs(url), self.glyphs, wall=self.wall))

    async def action_browse_keys(self) -> None:
        """Look at the keys in Redis, of the selected cache where there is one."""
        url = self._redis_url()
        if not url:
            return
        from perftui.tui.key_browsing import KeyBrowsing
        from perftui.tui.screens.key_browser import KeyBrowserScreen

        if not isinstance(self.screen, KeyBrowserScreen):
            browsing = KeyBrowsing(url, self.actions_allowed)
            pattern = self.selected_pattern() or "*"
            keys = dict(self.settings.keys)
            await self.push_screen(
                KeyBrowserScreen(browsing, self.glyphs, pattern, keys, self.wall)
            )
