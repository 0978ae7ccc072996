"""Bytes to ``Request`` and answer to bytes: TLS, HTTP/1.1 and WebSockets, with every bound that a client may meet."""
