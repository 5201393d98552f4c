"""What people say to a running engine: each word reaches the core, and the answer is the truth."""

import os
import signal
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import typer.main

from engine.app import launch
from engine.cli import app
from engine.journal import read_journal
from engine.operator.facts import Refused, command_fact, outcome
from engine.operator.protocol import CommandWanted
from engine.operator.verbs import VERBS, typed
from engine.simulation.action_keys import OPERATOR_COMMANDS
from machines.close import TABLE as CLOSE
from machines.close_model import Close
from machines.errors import InvariantBroken
from machines.messages import OperatorCommanded
from machines.order import TABLE as ORDER
from machines.types import AGGRESSIVE, PASSIVE, Capabilities
from tests.live_engine import LiveEngine, config_text
from tests.live_run import Doomed, Task, begun, still
from tests.rows import TEN, Bench

# ---------------------------------------------------------------- one table of words


def test_the_command_line_has_every_word_with_its_arguments_and_its_help() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for verb in VERBS.values():
        command = commands[typed(verb.name)]
        assert command.help == verb.help
        taken = [(each.name, each.required) for each in command.params if each.name != "config"]
        wanted = [(argument.name, argument.required) for argument in verb.arguments]
        assert taken == wanted
        labels = [each.metavar for each in command.params if each.param_type_name == "argument"]
        assert labels == [argument.label for argument in verb.arguments if argument.label]


def test_the_socket_takes_every_argument_of_the_table_and_no_other() -> None:
    taken = {argument.name for verb in VERBS.values() for argument in verb.arguments}
    assert taken == set(CommandWanted.__struct_fields__) - {"name"}


def test_every_word_is_one_that_scenarios_know_and_machines_hear() -> None:
    assert set(VERBS) == set(OPERATOR_COMMANDS) - {"stop_entries"}
    for verb in VERBS.values():
        if verb.trigger:
            assert verb.trigger in {**CLOSE.events, **ORDER.events}


# ---------------------------------------------------------------- refused by name


@pytest.fixture
def bench() -> Bench:
    """A close of the pair x that waits passively, its order on b:X at rest."""
    return Bench()


def fact_of(bench: Bench, wanted: CommandWanted) -> OperatorCommanded:
    return command_fact(wanted, bench.core, bench.now, "7:ann")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (CommandWanted("explode"), "unknown command 'explode'; known: halt, resume, kill, retry"),
        (CommandWanted("stop_entries"), "unknown command 'stop_entries'"),
        (CommandWanted("adopt"), "adopt needs: pair"),
        (CommandWanted("adopt", "y"), "unknown pair 'y'; known: x"),
        (CommandWanted("halt", "x"), "halt takes no pair; it takes: nothing"),
        (CommandWanted("write_off", "x", qty="1"), "write-off takes no qty; it takes: pair"),
        (CommandWanted("resume", venue="c"), "unknown venue 'c'; known: a, b"),
        (CommandWanted("settle", order="b:X#9"), "settle needs: filled"),
        (CommandWanted("settle", order="b:X#9", filled="1"), "no order 'b:X#9' is in doubt; in"),
        (CommandWanted("settle", order="c:X", filled="1"), "no order 'c:X' is in doubt; in doubt"),
        (CommandWanted("adopt", "x", qty="some"), "qty: 'some' must be a plain decimal number"),
        (CommandWanted("adopt", "x", qty="-1"), "qty: -1 must not be negative"),
        (CommandWanted("adopt", "x", qty="1e29"), "qty: 1e29 is more than can be held of a:X"),
        (CommandWanted("adopt", "x", qty="9" * 81), "must be a plain decimal number"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_known(
    bench: Bench, wanted: CommandWanted, words: str
) -> None:
    bench.close(PASSIVE)
    with pytest.raises(Refused) as refused:
        fact_of(bench, wanted)
    assert words in str(refused.value)


@pytest.mark.parametrize("word", ["retry", "cancel", "adopt", "write_off", "release"])
def test_a_word_about_a_close_that_is_not_alive_is_refused(bench: Bench, word: str) -> None:
    with pytest.raises(Refused, match="no close of x is alive; alive: none"):
        fact_of(bench, CommandWanted(word, "x"))


def test_a_quantity_that_is_to_stand_for_a_position_is_a_whole_number_of_units() -> None:
    bench = Bench(capabilities=Capabilities(position="unavailable"))
    bench.close(PASSIVE)
    with pytest.raises(Refused, match=r"qty of a:X: 9\.995 must be a multiple of 0\.01"):
        fact_of(bench, CommandWanted("adopt", "x", qty="9.995"))
    fact = fact_of(bench, CommandWanted("adopt", "x", qty="9.99"))
    assert fact == OperatorCommanded(bench.now, "adopt", "x", by="7:ann", qty=Decimal("9.99"))


# ---------------------------------------------------------------- settling


def test_an_order_is_settled_by_its_name_or_by_its_instrument_in_the_venues_contracts(
    bench: Bench,
) -> None:
    leg = bench.leg("doubtful", order="unknown")
    order = leg.orders[0]
    for name in ("b:X#1", "b:X"):
        fact = fact_of(
            bench, CommandWanted("settle", order=order.id if "#" in name else name, filled="2.5")
        )
        assert fact == OperatorCommanded(bench.now, "settle", "b:X", order.uid, 250, "7:ann")


@pytest.mark.parametrize(
    ("filled", "words"),
    [
        ("2.505", r"filled: 2\.505 must be a multiple of 0\.01"),
        ("10.01", r"filled: 10\.01 of b:X#\d cannot be: 1\.00 of 10\.00 is known to have filled"),
        ("0.99", r"filled: 0\.99 of b:X#\d cannot be: 1\.00 of 10\.00 is known"),
        ("-1", r"filled: -1 must not be negative"),
        ("nan", r"filled: 'nan' must be a plain decimal number"),
    ],
)
def test_a_quantity_that_cannot_have_filled_is_refused(
    bench: Bench, filled: str, words: str
) -> None:
    bench.leg("doubtful", order="unknown").orders[0].cum = TEN // 10
    with pytest.raises(Refused, match=words):
        fact_of(bench, CommandWanted("settle", order="b:X", filled=filled))


def test_an_order_that_is_not_in_doubt_is_not_settled(bench: Bench) -> None:
    order = bench.leg("passive_limit", order="live").orders[0]
    with pytest.raises(Refused, match=f"{order.id} is live, not in doubt; in doubt: none"):
        fact_of(bench, CommandWanted("settle", order=order.id, filled="0"))


def test_of_several_orders_in_doubt_one_has_to_be_named(bench: Bench) -> None:
    leg = bench.leg("doubtful", order="unknown")
    first = leg.orders[0]
    second = bench.order(leg, "contradicted")
    with pytest.raises(Refused, match=f"name one: {first.id}, {second.id}"):
        fact_of(bench, CommandWanted("settle", order="b:X", filled="0"))
    fact = fact_of(bench, CommandWanted("settle", order=second.id, filled="0"))
    assert fact.order == second.uid


# ---------------------------------------------------------------- the answer is the truth


def said(bench: Bench, wanted: CommandWanted) -> tuple[bool, str]:
    fact = fact_of(bench, wanted)
    out = bench.step(fact)
    return outcome(fact, out.answer, out.trace or [])


def test_what_was_done_is_said_with_the_row_that_was_taken(bench: Bench) -> None:
    bench.close(PASSIVE)
    done, text = said(bench, CommandWanted("cancel", "x"))
    assert done
    assert text.startswith("x passive_limit → passive_limit: ")


@pytest.mark.parametrize(
    ("word", "rung", "words"),
    [
        ("cancel", AGGRESSIVE, "nothing was changed: x is aggressive_limit: later than the first"),
        ("adopt", PASSIVE, "nothing was changed: x is passive_limit"),
        ("write_off", PASSIVE, "nothing was changed: x is passive_limit"),
        ("release", PASSIVE, "nothing was changed: x is passive_limit"),
        ("retry", PASSIVE, "nothing was changed: x is passive_limit"),
    ],
)
def test_what_was_not_done_is_never_said_to_be(
    bench: Bench, word: str, rung: int, words: str
) -> None:
    bench.close(rung)
    done, text = said(bench, CommandWanted(word, "x"))
    assert not done
    assert text.startswith(words)


def test_a_close_that_passes_a_retry_on_to_legs_that_are_not_stuck_has_done_nothing(
    bench: Bench,
) -> None:
    leg = bench.leg("market", order="live")
    leg.close.state = "market"
    done, text = said(bench, CommandWanted("retry"))
    assert (done, text.startswith("nothing was changed: ")) == (False, True)
    leg.state = "stuck"
    leg.close.state = "stuck"
    done, text = said(bench, CommandWanted("retry"))
    assert (done, text.startswith("b:X stuck → ")) == (True, True)


def test_a_quantity_is_adopted_where_a_venue_shows_none() -> None:
    bench = Bench(capabilities=Capabilities(position="unavailable"))
    bench.close(PASSIVE).state = "frozen"
    done, text = said(bench, CommandWanted("adopt", "x", qty="7.5"))
    assert (done, text.startswith("x frozen → preparing: ")) == (True, True)
    assert [holding.qty for holding in bench.core.holdings] == [750, -750]


# ---------------------------------------------------------------- on a live engine

Talk = Callable[["Spoken"], Coroutine[Any, Any, None]]


class Spoken(Doomed):
    """A process to which somebody talks by the command line; it is stopped when all is said."""

    def __init__(self, live: LiveEngine, talk: Talk, ripe: Callable[[Doomed], bool] | None) -> None:
        super().__init__(begun(live), ripe=ripe)
        self.live = live
        self.talk = talk
        self.wrong: BaseException | None = None

    def vital(self) -> dict[str, Task]:
        return {**super().vital(), "operator": self._operator}

    async def _operator(self) -> None:
        try:
            await self._until_ripe()
            await self.talk(self)
        except AssertionError as error:
            self.wrong = error
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep_forever()

    async def unwind(self, *arguments: str) -> tuple[int, str]:
        """Run a command line; its exit code and all that it printed."""
        done = await anyio.to_thread.run_sync(partial(self.live.call, *arguments))
        return done.returncode, done.stdout + done.stderr

    async def until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            await anyio.lowlevel.checkpoint()

    def close_of(self, pair: str) -> Close:
        return self.engine.core.closes[pair]

    def doubted(self) -> list[str]:
        """Names of the own orders in doubt."""
        orders = self.engine.core.env.orders.values()
        return [order.id for order in orders if order.state == "unknown"]


#: A market that stands still, and legs that wait passively for as long as a test may take.
PATIENT = still(config_text()).replace("timeout_s = 0.4", "timeout_s = 20")


def talk(
    tmp_path: Path,
    words: Talk,
    text: str = PATIENT,
    ripe: Callable[[Doomed], bool] | None = None,
) -> list[OperatorCommanded]:
    """Talk to a real engine; what of it is in the journal afterwards, the stop left out."""
    live = LiveEngine(tmp_path, text)
    spoken = Spoken(live, words, ripe)
    launch(spoken)
    if spoken.wrong is not None:
        raise spoken.wrong
    facts = [record.fact for record in read_journal(live.paths.journal)]
    return [
        fact
        for fact in facts
        if isinstance(fact, OperatorCommanded) and not fact.by.startswith("engine:")
    ]


@pytest.mark.slow  # the real engine, and one start of the command line per word
def test_a_close_is_withdrawn_and_one_that_was_not_asked_for_is_not(tmp_path: Path) -> None:
    async def words(spoken: Spoken) -> None:
        code, text = await spoken.unwind("cancel", "eth")
        assert (code, text.partition(" ")[0]) == (0, "eth")
        await spoken.until(lambda: spoken.close_of("eth").state == "reconciled")
        assert spoken.close_of("eth").outcome == "withdrawn"
        code, text = await spoken.unwind("cancel", "btc")
        assert (code, text) == (2, "no close of btc is alive; alive: one:SOL\n")

    (fact,) = talk(tmp_path, words)
    assert (fact.command, fact.target) == ("cancel", "eth")
    assert fact.by.startswith(f"{os.getuid()}:")


def freeze(spoken: Spoken) -> None:
    """Let a stranger trade away a part of what a close is closing."""
    index = next(each.index for each in spoken.boot.instruments if each.key == "one:ETH")
    spoken.venues["one"].script.external(index, -100, 200_000, "manual")


@pytest.mark.slow  # the real engine, and one start of the command line per word
def test_a_frozen_close_is_adopted_or_written_off(tmp_path: Path) -> None:
    async def words(spoken: Spoken) -> None:
        code, text = await spoken.unwind("adopt", "eth")
        assert (code, text) == (2, "nothing was changed: eth is passive_limit\n")
        freeze(spoken)
        await spoken.until(lambda: spoken.close_of("eth").state == "frozen")
        code, text = await spoken.unwind("adopt", "eth", "--qty", "0.4")
        refusal = "eth: its venues show what is held; adopt it without a quantity\n"
        assert (code, text) == (2, refusal)
        code, text = await spoken.unwind("adopt", "eth")
        assert (code, text.startswith("eth frozen → preparing: ")) == (0, True)
        await spoken.until(lambda: spoken.close_of("eth").state == "passive_limit")
        freeze(spoken)
        await spoken.until(lambda: spoken.close_of("eth").state == "frozen")
        code, text = await spoken.unwind("write-off", "eth")
        assert (code, text.startswith("eth frozen → reconciled: ")) == (0, True)

    facts = talk(tmp_path, words)
    given = [(fact.command, fact.target, fact.qty) for fact in facts]
    assert given == [
        ("adopt", "eth", None),
        ("adopt", "eth", Decimal("0.4")),
        ("adopt", "eth", None),
        ("write_off", "eth", None),
    ]


@pytest.mark.slow  # the real engine, and two starts of the command line
def test_a_quarantined_close_is_released(tmp_path: Path) -> None:
    async def words(spoken: Spoken) -> None:
        step = spoken.engine.core.step

        def breaking(fact: Any) -> Any:
            out = step(fact)
            spoken.engine.core.step = step  # type: ignore[method-assign]
            broken = InvariantBroken("I0", "a trial", spoken.close_of("eth"))
            spoken.engine.core._quarantine(broken, out)
            return out

        spoken.engine.core.step = breaking  # type: ignore[method-assign]
        await spoken.until(lambda: spoken.close_of("eth").state == "quarantined")
        code, text = await spoken.unwind("release", "eth")
        assert (code, text.startswith("eth quarantined → preparing: ")) == (0, True)
        code, text = await spoken.unwind("resume", "two")
        assert (code, text) == (0, "two: nothing was barred there\n")

    said = [(fact.command, fact.target) for fact in talk(tmp_path, words)]
    assert said == [("release", "eth"), ("resume", "two")]


@pytest.mark.slow  # the real engine, and three starts of the command line
def test_an_order_whose_fate_nobody_can_prove_is_settled(tmp_path: Path) -> None:
    def losing(spoken: Doomed) -> bool:
        spoken.venues["two"].script.answer("create", "timeout", effect=False)
        return True

    async def words(spoken: Spoken) -> None:
        await spoken.until(lambda: bool(spoken.doubted()))
        (order,) = spoken.doubted()
        assert order == "two:ETH#1"
        code, text = await spoken.unwind("settle", order, "--filled", "0.6")
        refusal = "filled: 0.6 of two:ETH#1 cannot be: 0.000 of 0.500 is known to have filled\n"
        assert (code, text) == (2, refusal)
        code, text = await spoken.unwind("settle", "two:ETH", "--filled", "0")
        assert (code, text.startswith("two:ETH#1 unknown → cancelled: ")) == (0, True)
        code, text = await spoken.unwind("settle", order, "--filled", "0")
        assert (code, text) == (2, "two:ETH#1 is cancelled, not in doubt; in doubt: none\n")

    endless = PATIENT.replace("deadline = 'matching'", "deadline = 'none'")
    (fact,) = talk(tmp_path, words, endless, losing)
    assert (fact.command, fact.target, fact.cum) == ("settle", "two:ETH", 0)


@pytest.mark.slow  # the real engine, and four starts of the command line
def test_a_request_that_breaks_the_engine_s_answer_hurts_nobody_else(tmp_path: Path) -> None:
    async def words(spoken: Spoken) -> None:
        snapshot, until_gone = spoken.engine.snapshot, spoken.control._until_gone

        def broken() -> Any:
            spoken.engine.snapshot = snapshot  # type: ignore[method-assign]
            raise KeyError("lost")

        async def gone() -> None:
            spoken.control._until_gone = until_gone  # type: ignore[method-assign]
            raise KeyError("lost too")

        spoken.engine.snapshot = broken  # type: ignore[method-assign]
        code, text = await spoken.unwind("status")
        assert (code, text.startswith("no answer came; look into the engine's log")) == (2, True)
        code, text = await spoken.unwind("halt")
        assert code == 0
        # The whole of the control's task fails, and is set going again.
        spoken.control._until_gone = gone  # type: ignore[method-assign]
        spoken.boot.paths.socket.unlink()
        await spoken.until(lambda: "lost too" in spoken.output.getvalue())
        await spoken.until(spoken.boot.paths.socket.exists)
        code, text = await spoken.unwind("resume")
        assert (code, spoken.failed) == (0, False)
        assert "ALARM machine_error control: control: KeyError: 'lost'" in spoken.output.getvalue()

    assert [fact.command for fact in talk(tmp_path, words)] == ["halt", "resume"]
