"""What MirrorMaker is told: fetch two topics of the others into this region's cluster, and nothing else."""

import pytest

from connectors.kafka.mirror import MirrorError, configuration, text
from connectors.regions import Regions
from schemas.topics import MAX_MESSAGE_BYTES, mirrors


def regions(**kafka: object) -> Regions:
    return Regions.model_validate(
        {
            "regions": [
                {"name": "us", "kafka": {"bootstrap_servers": "us:9092", **kafka}},
                {"name": "eu", "kafka": {"bootstrap_servers": "eu:9092", "replication_factor": 2}},
                {"name": "ap-1", "kafka": {"bootstrap_servers": "ap:9092"}},
            ]
        }
    )


def test_a_region_fetches_from_each_other_one_and_sends_to_none() -> None:
    said = configuration(regions(), "eu")
    enabled = {name for name, value in said.items() if name.endswith(".enabled") and "->" in name and value == "true"}
    assert {name for name in enabled if name.count(".") == 1} == {"us->eu.enabled", "ap-1->eu.enabled"}
    assert said["eu->us.enabled"] == said["eu->ap-1.enabled"] == "false"
    assert said["us->eu.topics"] == "readings,insights"
    # Nothing of it is written into another region's cluster.
    assert said["us->eu.emit.offset-syncs.enabled"] == said["us->eu.emit.checkpoints.enabled"] == "false"
    assert said["us->eu.sync.topic.configs.enabled"] == said["us->eu.sync.topic.acls.enabled"] == "false"


def test_what_it_can_write_the_topics_take_and_nothing_is_passed_over() -> None:
    said = configuration(regions(), "eu")
    most = int(said["eu.producer.max.request.size"])
    assert 16 * MAX_MESSAGE_BYTES < most < min(topic.max_message_bytes for topic in mirrors(["us"]))
    # It would pass over everything while an access list is wrong.
    assert not any("errors.tolerance" in name for name in said)


def test_the_topics_that_it_keeps_are_on_as_many_brokers_as_the_list_says_of_this_region() -> None:
    assert configuration(regions(), "eu")["offset.storage.replication.factor"] == "2"
    assert configuration(regions(), "us")["replication.factor"] == "3"


def test_no_password_is_written_down() -> None:
    kafka = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": "mirror",
        "ssl_ca_location": "/etc/ca.pem",
        "ssl_keystore_location": "/etc/mirror.pem",
    }
    said = configuration(regions(**kafka), "eu")
    assert said["us.sasl.jaas.config"] == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="mirror" password="${env:TIDEGATE_MIRROR_PASSWORD_US}";'
    )
    assert (said["us.ssl.truststore.type"], said["us.ssl.truststore.location"]) == ("PEM", "/etc/ca.pem")
    assert (said["us.ssl.keystore.type"], said["us.ssl.keystore.location"]) == ("PEM", "/etc/mirror.pem")
    assert "config.providers = env\n" in text(said)
    assert "eu.sasl.jaas.config" not in said


def test_a_region_that_is_not_in_the_list() -> None:
    with pytest.raises(MirrorError, match="the region xx is not in the list"):
        configuration(regions(), "xx")
    with pytest.raises(MirrorError, match="TIDEGATE_REGION is not set"):
        configuration(regions(), "")
