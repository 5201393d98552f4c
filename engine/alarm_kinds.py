"""The closed list of alarm kinds that the engine raises and that files may name.

Must not decide when an alarm is raised; machines and actors do that. A kind is added here in the
same change that first raises it.
"""

#: Kinds by what they are about: one order, one close or open, one venue, the process, the rules.
ALARM_KINDS: frozenset[str] = frozenset(
    """
    unknown_order fill_conflict overfill
    dust stuck naked open_failed leg_liquidated foreign_exposure orphan_order
    venue_degraded venue_auth unmapped_code oversize_frame input_gap session
    machine_error gate_refused policy_error liveness
    journal disk fenced
    price_blind risk_unknown estimator_missing basis_conflict unreconciled
    unprotected ledger_lag tie_out attribution_unknown
    unhedgeable hedger_emergency guard_killed loss_limit
    vol_divergence fifo_cashflow_split premium_ready venue_fee
    """.split()
)
