"""Which endpoints a chain is asked at and in what order: the user's own, else the keyed ones, then public ones.

Beside the user's own ones those that need no account give second opinions alone.

What does not belong here: asking them (net) and where keys come from (settings).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.registry.chains import Chain
from cryptolake.registry.providers import (
    ARCHIVE,
    OWN,
    PUBLIC,
    UNTOLD,
    Operator,
    RpcPlan,
    host_of,
    normal_form,
    operator_of,
    operators,
    plan_of,
    rpc_plans,
)


def endpoints_of(
    chain: Chain,
    *,
    own: Sequence[str],
    rate: float | None,
    keys: Sequence[str],
    plan: str,
    public: bool,
    portal: str | None = None,
) -> list[Endpoint]:
    """The chain's endpoints in the order they are preferred.

    `own` are the user's URLs, asked at `rate` units a second (None: as their plan allows); `keys` are accounts of the
    keyed provider with its `plan`; `public` allows those that need no account (beside own ones
    for second opinions alone). `portal` is the address of an SQD Portal, whose
    archive is asked for logs beside them where it has the chain. URLs and keys are secrets.
    """
    return [*_nodes(chain, own, rate, keys, plan, public=public), *_archive(chain, portal)]


def _archive(chain: Chain, portal: str | None) -> list[Endpoint]:
    if portal is None or chain.sqd_dataset is None:
        return []
    offered = rpc_plans()[ARCHIVE]
    url = f"{portal.rstrip('/')}/{chain.sqd_dataset}"
    found = _endpoint(f"{chain.name}-{ARCHIVE}", url, offered.limits, offered, account=portal, usd_per_million=0.0)
    return [
        replace(found, dataset_of=chain.chain_id, operator=ARCHIVE)
    ]  # whoever runs the portal: the data are one network's


def _nodes(
    chain: Chain, own: Sequence[str], rate: float | None, keys: Sequence[str], plan: str, *, public: bool
) -> list[Endpoint]:
    found = []
    for number, url in enumerate(own, start=1):
        offered = plan_of(url, OWN)
        limits = offered.limits if rate is None else replace(offered.limits, rate=rate, told=True)
        name = f"{chain.name}-own-{number}"
        found.append(_endpoint(name, url, limits, offered, account=url, usd_per_million=offered.usd_per_million))
    if found:
        return [*found, *(replace(one, besides=True) for one in (_public(chain) if public else ()))]
    if chain.alchemy_subdomain:
        offered = rpc_plans()[f"alchemy_{plan}"]
        for number, key in enumerate(keys, start=1):
            url = alchemy_url(chain.alchemy_subdomain, key)
            price = offered.usd_per_million
            found.append(
                _endpoint(f"alchemy-{number}", url, offered.limits, offered, account=key, usd_per_million=price)
            )
    return [*found, *(_public(chain) if public else ())]


def _public(chain: Chain) -> list[Endpoint]:
    found = []
    for url in chain.public_rpcs:
        offered = plan_of(url, PUBLIC)
        name = offered.name if offered.name != PUBLIC else (host_of(url) or PUBLIC)
        # Without an account nobody can be billed.
        found.append(_endpoint(f"{chain.name}-{name}", url, offered.limits, offered, account=url, usd_per_million=0.0))
    # What one says first that may be anybody, nobody could bear out.
    return sorted(found, key=lambda one: one.upstream == UNTOLD or not one.operator)


def alchemy_url(subdomain: str, key: str) -> str:
    """The address of a chain at Alchemy with this key. A secret."""
    return f"https://{subdomain}.g.alchemy.com/v2/{key}"


def operator_named(name: str) -> Operator | None:
    """Whose an endpoint of this name is, as `endpoints_of` names them; None where a name does not tell, as the user's own.

    An answer keeps the names of who gave it, and no addresses.
    """
    provider, _, rest = name.partition("-")
    if provider in operators() and rest.isdecimal():
        return operators()[provider]
    if rest in rpc_plans():
        return next(filter(None, (operator_of(f"https://{host}") for host in rpc_plans()[rest].hosts)), None)
    return operator_of(f"https://{rest}") if "." in rest else None


def _endpoint(
    name: str, url: str, limits: Limits, plan: RpcPlan, *, account: str, usd_per_million: float | None
) -> Endpoint:
    """The account is named by a digest: its name becomes a file name and must not tell the key."""
    digest = hashlib.sha256(normal_form(account).encode()).hexdigest()[:16]
    of = operator_of(url)
    operator, upstream = (of.name, of.upstream) if of is not None else ("", "")
    return Endpoint(name, SecretUrl(url), limits, digest, plan.provider, usd_per_million, operator, upstream)
