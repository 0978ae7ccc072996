"""A pod's program: tells whoever asks, over TCP and UDP on port 8080, who it is and whom it saw.

``python backend.py NAME``: TCP answers ``NAME CLIENT-ADDRESS`` and closes; UDP answers the same to each datagram.
Needs only the standard library; starts before the namespace has a link.
"""

from __future__ import annotations

import socketserver
import sys
import threading


class Tcp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(f"{sys.argv[1]} {self.client_address[0]}".encode())


class Udp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        _, reply_socket = self.request
        reply_socket.sendto(f"{sys.argv[1]} {self.client_address[0]}".encode(), self.client_address)


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128


def main() -> None:
    tcp, udp = TcpServer(("0.0.0.0", 8080), Tcp), socketserver.UDPServer(("0.0.0.0", 8080), Udp)
    threading.Thread(target=udp.serve_forever, daemon=True).start()
    print("listening", flush=True)
    tcp.serve_forever()


if __name__ == "__main__":
    main()
