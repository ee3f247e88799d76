"""Under which keys the answer behind an insight is kept."""

from collections.abc import Mapping
from typing import Any

from connectors.cache.entry import Key
from connectors.llm import roster
from connectors.llm.settings import Tier, models
from streams.prompts.kept import digest
from streams.settings import Settings


def keys_of(insight: Mapping[str, Any], settings: Settings) -> list[Key]:
    """Give the keys of an insight (`connectors.timescale.orders.CacheOrders.insight`): two where models have tiers.

    Without a model's answer behind it there is none.
    """
    if insight["prompt_hash"] is None:
        return []
    file = settings.llm.endpoints_file
    endpoints = settings.llm.endpoints if file is None else roster.read(file)
    named = [models(endpoints, tier) for tier in Tier]
    digests = {digest(insight["tenant"], insight["prompt_hash"], names): None for names in named}
    return [Key(insight["tenant"], one) for one in digests]
