"""The registry, free balances, stakes and standing offers."""

from __future__ import annotations

from quorate.crypto.digests import body_digest
from quorate.crypto.signing import check_bundle, node_id
from quorate.errors import PeerError
from quorate.ledger.ballots import check_signatures
from quorate.ledger.call import Call, Done
from quorate.ledger.state import RETAIN_MS, Account, State, credited, key_parts, replace, with_account
from quorate.ledger.status import Refused, Status, refuse_if
from quorate.model.codec import decode
from quorate.model.contract import ID_BYTES
from quorate.model.ledger_events import Registered
from quorate.model.offer import Offer
from quorate.model.transaction import DepositStake, PostOffer, Register, TransferCredits
from quorate.model.units import Millis

ROLES = ("provider", "requester", "node")
OFFERS_MAX = 16
"""Most offers of one account that stand at a time: a promise holds until it expires, a new one does not end an old
one."""
OFFER_TERM_MS_MAX = 30 * 24 * 3_600_000


def register(state: State, call: Call[Register]) -> Done:
    """Adds an account with empty balance. Component keys belong to one account only (R9)."""
    bundle = call.value.bundle
    refuse_if(node_id(bundle) != call.signer, Status.BUNDLE_MISMATCH)
    refuse_if(bundle.suite not in state.genesis.suites, Status.SUITE_REFUSED, str(bundle.suite))
    try:
        check_bundle(bundle)
    except PeerError as fault:
        raise Refused(Status.WEAK_KEY, fault.field) from None
    refuse_if(call.value.role not in ROLES, Status.ROLE_UNKNOWN, call.value.role)
    refuse_if(call.signer in state.accounts, Status.ALREADY_REGISTERED)
    parts = key_parts(bundle)
    refuse_if(any(part in state.components for part in parts), Status.KEY_SHARED)
    refuse_if(call.signer[:ID_BYTES] in state.ids, Status.ID_TAKEN)
    components = state.components
    for part in parts:
        components = components.put(part, call.signer)
    accounts = state.accounts.put(call.signer, Account(bundle, call.value.role, 0, 0))
    event = Registered(
        network=state.network,
        account=call.signer,
        role=call.value.role,
        height=call.block.height,
        time_ms=Millis(call.block.time_ms),
    )
    ids = state.ids.put(call.signer[:ID_BYTES], call.signer)
    return Done(replace(state, accounts=accounts, components=components, ids=ids), (event,))


def transfer(state: State, call: Call[TransferCredits]) -> Done:
    amount = call.value.amount_micro
    refuse_if(amount == 0, Status.AMOUNT_ZERO)
    refuse_if(call.value.to not in state.accounts, Status.ACCOUNT_UNKNOWN, call.value.to.hex())
    _refuse_out_of_term(call)
    refuse_if(state.accounts[call.signer].balance_micro < amount, Status.BALANCE_TOO_LOW)
    return Done(credited(credited(state, call.signer, -amount), call.value.to, amount))


def deposit(state: State, call: Call[DepositStake]) -> Done:
    """From free balance to stake. A stake backs every agreement of its account at once; it has no way back yet."""
    amount, account = call.value.amount_micro, state.accounts[call.signer]
    refuse_if(amount == 0, Status.AMOUNT_ZERO)
    _refuse_out_of_term(call)
    refuse_if(account.balance_micro < amount, Status.BALANCE_TOO_LOW)
    balance, stake = account.balance_micro - amount, account.stake_micro + amount
    return Done(with_account(state, call.signer, balance_micro=balance, stake_micro=stake))


def _refuse_out_of_term(call: Call[TransferCredits] | Call[DepositStake]) -> None:
    """Nothing in the state shows that such a transaction was applied before: it must not outlive its answer, which is
    kept for `RETAIN_MS`."""
    expires, now = call.value.expires_ms, call.block.time_ms
    refuse_if(expires <= now, Status.TOO_LATE, f"expired at {expires}")
    refuse_if(expires > now + RETAIN_MS, Status.TERM_TOO_LONG, f"{RETAIN_MS} ms")


def post_offer(state: State, call: Call[PostOffer]) -> Done:
    """Makes an offer a standing one until it expires. Posted again, it stands already and nothing changes."""
    signed, now = call.value.offer, call.block.time_ms
    refuse_if(signed.noun != "offer", Status.MALFORMED, signed.noun)
    try:
        offer = decode(signed.body, Offer)
    except PeerError as fault:
        raise Refused(Status.MALFORMED, f"offer: {fault.field}") from None
    refuse_if(offer.network != state.network, Status.OTHER_NETWORK)
    refuse_if(not call.signer == signed.signer == offer.provider, Status.NOT_AUTHORISED)
    key = body_digest("offer", signed.body)
    if key in state.offers:
        return Done(state)
    account, genesis = state.accounts[call.signer], state.genesis
    refuse_if(offer.expires_ms <= now, Status.OFFER_EXPIRED)
    refuse_if(offer.expires_ms > now + OFFER_TERM_MS_MAX, Status.TERM_TOO_LONG, f"{OFFER_TERM_MS_MAX} ms")
    refuse_if(account.stake_micro < genesis.bond_micro, Status.STAKE_TOO_LOW, f"bond {genesis.bond_micro}")
    refuse_if(account.score < genesis.reputation_gate, Status.REPUTATION_TOO_LOW, f"gate {genesis.reputation_gate}")
    live = tuple(other for other in account.offers if state.offers[other].expires_ms > now)
    refuse_if(len(live) >= OFFERS_MAX, Status.TOO_MANY_OFFERS, str(OFFERS_MAX))
    check_signatures((signed,), call.verify)
    state = with_account(state, call.signer, offers=(*live, key))
    return Done(replace(state, offers=state.offers.put(key, offer)))
