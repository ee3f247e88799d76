"""TLS to the MQTT broker: which certificates count, and a socket that does not outlive a failed handshake."""

import ssl
from typing import Final

from connectors.mqtt.errors import RefusedError
from connectors.mqtt.settings import MqttSettings

CHECK_FILES: Final = (
    "Check TIDEGATE_MQTT__CA_FILE, TIDEGATE_MQTT__CERTIFICATE_FILE and TIDEGATE_MQTT__KEY_FILE."  # names, no secrets
)


class HandshakeSocket(ssl.SSLSocket):
    """Closes itself when TLS does not come about; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # as in the class above
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def context(settings: MqttSettings) -> ssl.SSLContext:
    """Trust the system's authorities, or those of `ca_file`; show a certificate of our own if one is set.

    Raises:
        RefusedError: a file cannot be used.

    """
    try:
        made = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.certificate_file:
            made.load_cert_chain(settings.certificate_file, settings.key_file or None)
    except OSError as error:
        raise RefusedError(
            f"A certificate for {settings.address} cannot be read ({error.strerror or error}). {CHECK_FILES}"
        ) from error
    made.sslsocket_class = HandshakeSocket
    return made
