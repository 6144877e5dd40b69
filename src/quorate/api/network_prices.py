"""What the providers of the running network ask for a call, of a contract that need not be deployed."""

from __future__ import annotations

from quorate.api.builder import Job
from quorate.api.client import Client
from quorate.api.contract_prices import Tariff, tariff
from quorate.model.contract import Contract, Deployment
from quorate.model.transaction import ContractHead, Head
from quorate.model.units import DIGEST_BYTES, Digest, MicroCredits

SHORT = 12
"""Hexadecimal digits by which a provider is shown."""


async def tariffs_of_network(client: Client, contract: Contract) -> list[Tariff]:
    """Those of the providers that would run a call of `contract` now, whether it is deployed or not."""
    head = Head(
        deployment=Deployment(
            network=client.parties.network,
            deployer=client.parties.requester,
            contract=contract,
            nonce=bytes(DIGEST_BYTES),
        ),
        state=contract.state,
        version=0,
        balance_micro=MicroCredits(0),
        holders=(),
    )
    told = ContractHead(
        network=client.parties.network,
        contract=Digest(bytes(DIGEST_BYTES)),
        head=head,
        balances=(),
        epoch=0,
        height=0,
    )
    function = contract.functions[0]
    nothing = (0 if parameter.kind == "int" else b"" for parameter in function.parameters)
    quote = await client.quote(Job.builder().call(told, function.name, *nothing).proof("trust").build())
    return [
        tariff(line["provider"][:SHORT], line["base_micro"], line["per_mega_fuel_micro"]) for line in quote["offers"]
    ]
