"""The example for KEDA speaks of the group and the topic that there are."""

from pathlib import Path

import yaml

from connectors.kafka.settings import KafkaSettings
from schemas.topics import READINGS
from streams.settings import LaneName

FILE = Path(__file__).parents[3] / "deploy" / "kubernetes" / "keda.yml"


def test_it_scales_the_group_of_the_fast_lane_up_to_its_partitions() -> None:
    scaled = yaml.safe_load(FILE.read_text("utf-8"))
    assert (scaled["apiVersion"], scaled["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == KafkaSettings().group(LaneName.INGEST)
    assert trigger["metadata"]["topic"] == READINGS.name
    assert scaled["spec"]["maxReplicaCount"] == READINGS.partitions
    assert 2 <= scaled["spec"]["minReplicaCount"] <= READINGS.partitions
    # KEDA reads numbers as texts.
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
