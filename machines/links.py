"""What a venue says of itself: its link, its mode, its rules; and who has to look again then.

It must not judge evidence about orders and positions (`evidence`) nor requests (`requests`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from machines.messages import LinkClosed, LinkOpened, LinkStale, ModeChanged, RulesRead

if TYPE_CHECKING:
    from machines.close_model import Close
    from machines.holding_model import Holding
    from machines.lane import Lane
    from machines.session import Session
    from machines.table import Out


class Links:
    """Handlers of what venues say of themselves; mixed into `Core`."""

    holdings: list[Holding]
    sessions: dict[str, Session]
    lanes: dict[str, Lane]
    closes: dict[str, Close]

    if TYPE_CHECKING:  # what the core provides

        def touch(self, close: Close) -> None: ...

    def link_handlers(self) -> dict[type, Any]:
        """Which method takes which fact."""
        return {
            RulesRead: self._rules,
            LinkOpened: self._link_opened,
            LinkClosed: self._link_closed,
            LinkStale: self._link_stale,
            ModeChanged: self._mode,
        }

    def _rules(self, fact: RulesRead, out: Out) -> None:
        holding = self.holdings[fact.instrument]
        holding.instrument = fact.rules
        if holding.owner is not None:
            holding.owner.instrument = fact.rules

    def _link_opened(self, fact: LinkOpened, out: Out) -> None:
        session = self.sessions[fact.venue]
        # Whatever was announced before is stale: a venue says its mode again when it is not online.
        session.mode = "online"
        out.tell(self.lanes[fact.venue], "mode_told", fact)
        out.tell(session, "opened", fact)

    def _link_closed(self, fact: LinkClosed, out: Out) -> None:
        out.tell(self.sessions[fact.venue], "closed", fact)
        self._gap(fact.venue, out)

    def _link_stale(self, fact: LinkStale, out: Out) -> None:
        session = self.sessions[fact.venue]
        out.tell(session, "stale", fact)
        out.tell(session, "recover", fact)
        self._gap(fact.venue, out)

    def _gap(self, venue: str, out: Out) -> None:
        """What happened at a venue was not told for a while."""
        for holding in self.holdings:
            if holding.venue.name == venue:
                out.tell(holding, "gap")
        self.tell_venue_moved(venue, out)

    def _mode(self, fact: ModeChanged, out: Out) -> None:
        out.tell(self.sessions[fact.venue], "mode_told", fact)
        out.tell(self.lanes[fact.venue], "mode_told", fact)
        self.tell_venue_moved(fact.venue, out)
        self.recheck(out, list(self.closes.values()))

    def recheck(self, out: Out, closes: list[Close]) -> None:
        """Let legs that wait, or keep an order below its rung, look at their gates again."""
        for close in closes:
            for leg in close.legs:
                if leg.state == "waiting" or leg.is_kept_below:
                    self.touch(close)
                    out.tell(leg, "recheck")

    def tell_venue_moved(self, venue: str, out: Out) -> None:
        """Whether orders can be traded at a venue may have changed: its pairs are told."""
        for close in self.closes.values():
            if close.state == "reconciled" or len(close.legs) < 2:
                continue
            if any(leg.venue.name == venue for leg in close.legs):
                self.touch(close)
                out.tell(close, "venue_moved")

    def recheck_venue(self, venue: str, out: Out) -> None:
        """A venue became trusted: what waited for that looks again."""
        concerned = [
            close
            for close in self.closes.values()
            if any(leg.venue.name == venue for leg in close.legs)
        ]
        self.tell_venue_moved(venue, out)
        self.recheck(out, concerned)
        for close in concerned:
            if close.state == "preparing":
                self.touch(close)
                out.tell(close, "truth")
