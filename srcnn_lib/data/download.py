"""Reads and downloads http(s) addresses, with limits on the length, the waiting time and the speed.

pooch is not used: it limits neither the length nor the time that a slow server takes, and its errors have many lines.
"""

import contextlib
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..errors import InputError
from ..runtime.files import digest, one_line, printable, write_atomically

TIMEOUT = 20  # seconds without a byte
SLOW_AFTER = 60  # seconds for the connection, redirects and headers; from then on, the speed is checked as well
MINIMUM_SPEED = 4096  # bytes per second on average: a server that sends one byte per second would never end
PICTURE_BYTES = 512 * 2**20  # the longest response that is read into memory
CHUNK = 2**20

# Called with the bytes done, and those in all or None where the server doesn't say.
DownloadProgress = Callable[[int, int | None], object]


def is_url(source: object) -> bool:
    """Returns whether `source` is text with a scheme such as https://, and not a path."""
    return isinstance(source, str) and bool(re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE))


def read_url(url: str, limit: int = PICTURE_BYTES) -> bytes:
    """Returns the content of an http(s) address.

    Args:
        url: the address.
        limit: bytes; a longer content is refused, and no more than this is read.

    Raises:
        InputError: another scheme, no answer for 20 s, a transfer below 4 kB/s, an error status, a web page, a
            connection that is cut, or more than `limit` bytes.
    """
    with _open(url, limit) as chunks:
        return b"".join(chunks)


def download_file(
    url: str,
    path: str | Path,
    digests: Mapping[str, str] | None = None,
    limit: int = 2**40,
    progress: DownloadProgress | None = None,
) -> Path:
    """Downloads an http(s) address into a file, whole or not at all.

    Args:
        url: the address.
        path: the file to write; its folder is created.
        digests: that the file must have, {"md5": "…"} or {"sha256": "…"}, hexadecimal digits.
        limit: bytes; a longer content is refused.
        progress: called with the bytes done and the bytes in all (None where the server doesn't say).

    Returns:
        The path.

    Raises:
        InputError: as `read_url`, or another digest.
        OSError: a full disk, or a folder without permission to write.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:
        with _open(url, limit, progress) as chunks, open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
        for kind, expected in (digests or {}).items():
            if (found := digest(temporary, kind)) != expected.lower():
                raise InputError(
                    f"{printable(url)} came with the {kind} sum {found}, expected {expected}; try again later"
                )
    return path


class _HTTPOnlyRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects to other schemes: urllib would follow one to ftp."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise InputError(f"{printable(url)} can't be read: only http:// and https:// addresses, or a plain path")


def _request(url: str) -> urllib.request.Request:
    """Encodes spaces and letters beyond ASCII, which browsers show in their address bar and HTTP does not allow."""
    _check_scheme(url)
    parts = urlsplit(url)
    if not parts.netloc.isascii():
        parts = parts._replace(netloc=parts.netloc.encode("idna").decode())
    return urllib.request.Request(
        quote(parts.geturl(), safe="%/:?#[]@!$&'()*+,;=~"), headers={"User-Agent": "srcnn_lib"}
    )


@contextlib.contextmanager
def _open(url: str, limit: int, progress: DownloadProgress | None = None) -> Iterator[Iterator[bytes]]:
    """Opens an address, and yields the chunks of its content."""
    started = time.monotonic()
    with _explain_errors(url):
        response = _connect(_request(url))
    with response:
        if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise InputError(f"{printable(url)} answers with a web page; give the address of the file itself")
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        if total is not None and total > limit:
            raise _too_long(url, total, limit)
        yield _chunks(url, response, total, limit, progress, started)


def _connect(request: urllib.request.Request) -> HTTPResponse:
    """Returns the response once its headers are complete.

    The socket's timeout starts anew with each byte, so a thread of its own bounds the time of all headers.
    """
    response: Future[HTTPResponse] = Future()

    def connect() -> None:
        try:
            opener = urllib.request.build_opener(_HTTPOnlyRedirects)
            response.set_result(opener.open(request, timeout=TIMEOUT))
        except BaseException as error:
            response.set_exception(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        return response.result(SLOW_AFTER)
    except TimeoutError:
        if response.done():  # the error of the connection itself
            raise
        raise InputError(
            f"{printable(request.full_url)} did not answer within {SLOW_AFTER} s; try again later"
        ) from None


class _Watchdog:
    """Cuts the connection where one call waits too long: the socket's timeout starts anew with each byte.

    A chunk's length, for example, may arrive a byte at a time, and has no end.
    """

    def __init__(self, response: HTTPResponse):
        self.response = response
        self.expired = False

    def __enter__(self) -> None:
        self.timer = threading.Timer(SLOW_AFTER, self._cut)
        self.timer.daemon = True
        self.timer.start()

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()

    def _cut(self) -> None:
        self.expired = True
        with contextlib.suppress(AttributeError, OSError):  # closing it would wait for the call
            self.response.fp.raw._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


def _chunks(
    url: str, response: HTTPResponse, total: int | None, limit: int, progress: DownloadProgress | None, started: float
) -> Iterator[bytes]:
    received = 0
    watchdog = _Watchdog(response)
    while True:
        with _explain_errors(url), watchdog:
            chunk = response.read1(CHUNK)  # what has arrived: `read` would wait for a whole chunk
        if watchdog.expired:
            raise InputError(f"{printable(url)} sent only {received:,} bytes in {SLOW_AFTER} s; try again later")
        if not chunk:
            break
        received += len(chunk)
        if received > limit:
            raise _too_long(url, received, limit)
        elapsed = time.monotonic() - started
        if elapsed > SLOW_AFTER and received < MINIMUM_SPEED * elapsed:
            raise InputError(f"{printable(url)} sent only {received:,} bytes in {elapsed:.0f} s; try again later")
        if progress:
            progress(received, total)
        yield chunk
    if total is not None and received != total:
        raise InputError(f"{printable(url)}: the connection was cut after {received:,} of {total:,} bytes; try again")


@contextlib.contextmanager
def _explain_errors(url: str) -> Iterator[None]:
    """Turns errors of the network into an InputError that names the address."""
    name = printable(url)
    try:
        yield
    except InputError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{name} answers {error.code} {one_line(error.reason)}; check the address") from error
    except (TimeoutError, urllib.error.URLError) as error:
        if isinstance(getattr(error, "reason", error), TimeoutError):
            raise InputError(f"{name} did not answer for {TIMEOUT} s; try again later") from error
        reason = one_line(getattr(error, "reason", error))
        raise InputError(f"{name} can't be reached ({reason}); check the address and the network") from error
    except (InvalidURL, ValueError) as error:
        raise InputError(f"{name} is no address that can be read ({one_line(error)}); check it") from error
    except (HTTPException, OSError) as error:
        raise InputError(f"{name}: the connection was cut ({one_line(error)}); try again") from error


def _too_long(url: str, length: int, limit: int) -> InputError:
    return InputError(
        f"{printable(url)} is longer ({length:,} bytes or more) than the {limit:,} that are read; "
        "store it yourself and give its path"
    )
