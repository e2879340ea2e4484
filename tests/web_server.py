"""A web server for tests, on this machine, which can be scripted to give bad answers."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """A web server for a folder, which can be scripted to give bad answers.

    web.put("bird.png", data)         → the address of a file with these bytes
    web.script("bird.png", "cut", 1)  → the address; the next answer is the scripted one (times=None: all answers),
                                        then the file is served again
    web.requests                      → the paths requested so far, in order: ["/bird.png"]

    Scripts:
        404: an error.
        html: a web page.
        to file, to data: redirects to file:///etc/hosts and to a data: address.
        to other: redirects to the same file under /elsewhere/.
        loop: redirects to itself.
        cut: half of the file under its full length.
        chunked cut: half of the file without a length.
        silent: no answer at all.
        slow headers, slow body, slow chunk: a byte every 0.1 s, forever.
        other: the right length with one byte changed, and so a wrong digest.
        long: announces 5 GB.
        long reason: an error with a reason of a thousand letters.
        endless: zeros without a length, forever.
    """

    def __init__(self, folder):
        self.folder = folder
        self.requests = []
        self.scripts = {}
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{name}"

    def put(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return self.address(name)

    def script(self, name: str, script: str, times: int | None = None) -> str:
        if script not in SCRIPTS:
            raise ValueError(f"no script {script!r}; there are {', '.join(SCRIPTS)}")
        self.scripts["/" + name] = [script, times]
        return self.address(name)

    def next_script(self, path: str) -> str | None:
        script, times = self.scripts.get(path, (None, None))
        if times is not None:
            self.scripts[path][1] -= 1
            if times <= 1:
                del self.scripts[path]
        return script

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def _handler(web: Web):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            web.requests.append(self.path)
            script = web.next_script(self.path)
            with contextlib.suppress(ConnectionError):  # the client closed the connection, as it should
                SCRIPTS[script](self, web) if script else self.serve(self.content())

        def content(self) -> bytes | None:
            path = web.folder / self.path.split("?")[0].removeprefix("/elsewhere").lstrip("/")
            return path.read_bytes() if path.is_file() else None

        def serve(self, data: bytes | None):
            if data is None:
                self.send_error(404)
            else:
                self.start(200, Content_Type="application/octet-stream", Content_Length=len(data))
                self.wfile.write(data)

        def start(self, code: int, **headers):
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler


def _cut(handler, web):
    data = handler.content() or bytes(1000)
    handler.start(200, Content_Length=len(data))
    handler.wfile.write(data[: len(data) // 2])


def _chunked_cut(handler, web):
    data = handler.content() or bytes(1000)
    handler.protocol_version = "HTTP/1.1"
    handler.start(200, Transfer_Encoding="chunked", Connection="close")
    handler.wfile.write(f"{len(data):x}\r\n".encode() + data[: len(data) // 2])


def _html(handler, web):
    handler.start(200, Content_Type="text/html; charset=utf-8")
    handler.wfile.write(b"<!doctype html><title>Log in</title>")


def _other(handler, web):
    data = bytearray(handler.content() or bytes(1000))
    data[len(data) // 2] ^= 255
    handler.serve(bytes(data))


def _endless(handler, web):
    handler.start(200)
    while not web.closing.is_set():
        handler.wfile.write(bytes(65536))


def _drip(handler, web):
    while not web.closing.wait(0.1):
        handler.wfile.write(b"x")


def _slow_headers(handler, web):
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Drip: ")
    _drip(handler, web)


def _slow_body(handler, web):
    handler.start(200, Content_Length=1000)
    _drip(handler, web)


def _slow_chunk(handler, web):
    handler.protocol_version = "HTTP/1.1"
    handler.start(200, Transfer_Encoding="chunked", Connection="close")
    while not web.closing.wait(0.1):
        handler.wfile.write(b"0")  # of the chunk's length, which never ends


SCRIPTS = {
    "404": lambda handler, web: handler.send_error(404),
    "html": _html,
    "to file": lambda handler, web: handler.start(302, Location="file:///etc/hosts"),
    "to data": lambda handler, web: handler.start(302, Location="data:text/plain,hello"),
    "to other": lambda handler, web: handler.start(302, Location="/elsewhere" + handler.path),
    "loop": lambda handler, web: handler.start(302, Location=handler.path),
    "cut": _cut,
    "chunked cut": _chunked_cut,
    "silent": lambda handler, web: web.closing.wait(30),
    "slow headers": _slow_headers,
    "slow body": _slow_body,
    "slow chunk": _slow_chunk,
    "other": _other,
    "long": lambda handler, web: handler.start(200, Content_Length=5 * 2**30),
    "long reason": lambda handler, web: handler.send_error(404, "reason " * 150),
    "endless": _endless,
}
