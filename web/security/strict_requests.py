"""Requests whose length two readers could take differently are refused before anything is read of them."""

from __future__ import annotations

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError


class StrictParser(HTTPRequestParser):  # type: ignore[misc]
    """waitress' parser, which by itself lets Transfer-Encoding win over Content-Length and keeps the connection open."""

    def parse_header(self, header_plus: bytes) -> None:
        """Raises ParsingError (400, and the connection ends) for a request that names both."""
        lines = header_plus.split(b"\r\n")[1:]
        names = {line.partition(b":")[0].strip().lower().replace(b"_", b"-") for line in lines}
        if {b"transfer-encoding", b"content-length"} <= names:
            raise ParsingError("Transfer-Encoding and Content-Length in one request")
        super().parse_header(header_plus)


class StrictChannel(HTTPChannel):  # type: ignore[misc]
    """One connection, read by the strict parser."""

    parser_class = StrictParser
