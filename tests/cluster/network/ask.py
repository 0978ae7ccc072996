"""A client: ``python ask.py tcp|udp ADDRESS PORT COUNT SOURCE-PORT``: one line per question, the answer or the error.

With a source port other than 0 all UDP questions are one flow. Needs only the standard library.
"""

from __future__ import annotations

import socket
import sys


def ask(protocol: str, address: str, port: int, source_port: int) -> str:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(2)
        if source_port:
            client.bind(("0.0.0.0", source_port))
        try:
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"who?")
            return client.recv(200).decode()
        except TimeoutError:
            return "no answer"
        except OSError as error:
            return f"error {error.strerror}"


if __name__ == "__main__":
    for _ in range(int(sys.argv[4])):
        print(ask(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[5])))
