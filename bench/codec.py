"""Encoding and strict decoding of the values that jobs are made of, against `cbor2`.

Its side of encoding is its canonical mode over msgspec's plain data; its side of decoding is `loads`, the same
canonical mode to compare with the bytes, and msgspec's conversion to the type. Each round measures both sides, one
after the other, in processor time. The ratio of a kind is the median of its rounds, the figure is the geometric mean
of all.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cbor2
import msgspec
from _machine import facts

from quorate.model.agreement import Agreement, EscrowOpened, LedgerTrust, Roster, RosterEntry
from quorate.model.assignment import Brief
from quorate.model.claim import ClaimBody, Commit, Opening, RoundClose, Vote
from quorate.model.codec import VERSION, Value, decode, encode
from quorate.model.evidence import Envelope, Leaf, Proven, Signed
from quorate.model.identity import Suite
from quorate.model.network import Checkpoint
from quorate.model.policy import Proof, Timeouts
from quorate.model.settlement import Payment, ReputationEvent, Settlement
from quorate.model.signature import Stamp

ROUNDS = 15
REPEATS = 100
GOALS = {"encode": 4, "decode": 3}
HASH = bytes(range(32))
PATH = (HASH,) * 8


def signed(noun: str, body: bytes) -> Signed:
    return Signed(noun=noun, body=body, signer=HASH, stamp=HASH, index=17, salt=bytes(16), path=PATH)


def values() -> list[Value]:
    """One of each kind that is met most, with contents of the usual sizes. They keep to their types; nothing in them
    is signed."""
    commit = Commit(network=HASH, agreement=HASH, round=1, assignment=HASH, member=HASH, commit=HASH)
    stamp = Stamp(network=HASH, signer=HASH, suite=Suite.ED25519_ML_DSA_65, size=45, root=HASH, signature=bytes(3373))
    leaf = Leaf(noun="commit", body=encode(commit), index=17, salt=bytes(16), path=PATH)
    proven = Proven(
        event=encode(escrow_opened()), index=70_000, path=PATH, checkpoint=signed("checkpoint", checkpoint())
    )
    roster = Roster(network=HASH, entries=(RosterEntry(offer=HASH, provider=HASH, operator="one", weight=5000),) * 3)
    brief = Brief(
        job=signed("job", bytes(2400)), agreement=signed("agreement", encode(agreement())), escrow=proven, roster=roster
    )
    envelope = Envelope(stamp=stamp, plain=(), leaves=(leaf,) * 32, stamps=(stamp,), parcels=())
    closed = RoundClose(
        network=HASH, agreement=HASH, round=1, members=PATH[:3], commits=PATH[:3], salt=HASH, audit_seed=HASH
    )
    return [commit, stamp, proven, brief, envelope, closed, agreement(), opening(), settlement()]


def agreement() -> Agreement:
    return Agreement(
        network=HASH, job=HASH, requester=HASH, node=HASH, roster=HASH,
        proof=Proof(method="quorum", replicas=3, threshold=3, one_in=1), rounds=3, reserves=0,
        timeouts=Timeouts(match_ms=30_000, transfer_ms=300_000, run_ms=30_000, verify_ms=60_000),
        price_max_micro=5000, attempt_max_micro=1000, bond_micro=1000, engine="wasmtime 50.0.1",
        ledger_trust=LedgerTrust(kind="sequencer", sequencer=HASH), audit_commitment=HASH,
        settle_by_ms=1_790_000_000_000,
    )  # fmt: skip


def escrow_opened() -> EscrowOpened:
    return EscrowOpened(
        network=HASH, agreement=HASH, job=HASH, beacon=HASH, escrow_micro=20_000, height=900, time_ms=1_790_000_000_000
    )


def checkpoint() -> bytes:
    return encode(
        Checkpoint(
            network=HASH, height=900, size=80_000, root=HASH, state=HASH, time_ms=1_790_000_000_000, sequencer=HASH
        )
    )


def opening() -> Opening:
    body = ClaimBody(
        vote=Vote(status="success", tag=HASH, log_tag=HASH, fuel_bucket=1024), result_digest=HASH, result_bytes=1242,
        log_digest=HASH, log_bytes=1205, memory_bucket_bytes=64 << 20, cpu_bucket_ms=1,
        in_bucket_bytes=64, out_bucket_bytes=64,
        isolation=("no_new_privs", "rlimits", "landlock", "seccomp"),
    )  # fmt: skip
    return Opening(network=HASH, agreement=HASH, round=1, assignment=HASH, member=HASH, body=body, nonce=HASH)


def settlement() -> Settlement:
    payment = Payment(source=HASH, account=HASH, amount_micro=5000, reason="price")
    return Settlement(
        network=HASH, agreement=HASH, job=HASH, cause="settle", verdict=HASH, accepted=True, call=None,
        payments=(payment,) * 4,
        reputation=(ReputationEvent(account=HASH, kind="agreed"),) * 3, height=900, time_ms=1_790_000_000_000, note="",
    )  # fmt: skip


def cbor2_encode(value: Value) -> bytes:
    plain = msgspec.to_builtins(value, builtin_types=(bytes,))
    plain["v"] = VERSION
    return bytes(cbor2.dumps(plain, canonical=True))


def cbor2_decode(data: bytes, kind: type[Value]) -> Value:
    plain = cbor2.loads(data)
    assert cbor2.dumps(plain, canonical=True) == data
    del plain["v"]
    return msgspec.convert(plain, kind, strict=True, builtin_types=(bytes,))


def took_s(work: Callable[[], Any]) -> float:
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return time.process_time() - began


def ratio(theirs: Callable[[], Any], ours: Callable[[], Any]) -> float:
    """How many times as long their side takes."""
    return round(statistics.median(took_s(theirs) / took_s(ours) for _ in range(ROUNDS)), 2)


def main() -> None:
    kinds = {}
    for value in values():
        data, kind = encode(value), type(value)
        assert cbor2_encode(value) == data, "the two sides disagree"
        assert cbor2_decode(data, kind) == decode(data, kind) == value, "the two sides disagree"
        kinds[kind.__name__] = {
            "bytes": len(data),
            "encode_ratio": ratio(partial(cbor2_encode, value), partial(encode, value)),
            "decode_ratio": ratio(partial(cbor2_decode, data, kind), partial(decode, data, kind)),
            "encode_us": round(1e6 * took_s(partial(encode, value)) / REPEATS, 2),
            "decode_us": round(1e6 * took_s(partial(decode, data, kind)) / REPEATS, 2),
        }
    figures: dict[str, Any] = {}
    for work, goal in GOALS.items():
        ratios = [kind[f"{work}_ratio"] for kind in kinds.values()]
        figures[f"{work}_ratio_to_cbor2"] = round(statistics.geometric_mean(ratios), 2)
        figures[f"{work}_ratio_goal_min"] = goal
        figures[f"{work}_ratio_least"] = min(ratios)
    with tempfile.TemporaryDirectory() as folder:
        machine = facts(Path(folder))
    peers = {"cbor2": version("cbor2")}
    print(json.dumps({"figures": figures, "machine": machine, "peers": peers} | kinds))


if __name__ == "__main__":
    main()
