"""A stand-in for the Hugging Face hub on this machine: the few routes that huggingface_hub uses for a model."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse

TOKEN = "hf_of_the_test"


@dataclass
class Repository:
    """Its commits, the latest last, each with its files by name."""

    private: bool = False
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b""}])

    def find(self, revision: str) -> int | None:
        """The number of a commit, by its hash or as "main"."""
        if revision == "main":
            return len(self.commits) - 1
        return next((n for n in range(len(self.commits)) if oid(n) == revision), None)


def oid(commit: int) -> str:
    return hashlib.sha1(str(commit).encode()).hexdigest()


@dataclass
class Hub:
    """What the stand-in has, and what was requested: "GET /user/name/resolve/main/config.json"."""

    address: str = ""
    store: str = ""
    """The address of large files: another host, as that of the hub is."""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens: tuple[str, ...] = (TOKEN,)
    fails: bool = False


@contextmanager
def hub_stand_in() -> Iterator[Hub]:
    """Serve an empty hub."""
    hub = Hub()

    class Handler(_Handler):
        def __init__(self, *arguments: Any) -> None:
            self.hub = hub
            super().__init__(*arguments)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address, hub.store = (f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.handle_request()

    do_GET = do_POST = do_PUT = do_HEAD  # noqa: N815

    def handle_request(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self.chunks())
        if self.hub.fails:
            return self.answer(500, {"error": "the stand-in fails"})
        for pattern, route in ROUTES.items():
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                route(self, body, *found.groups())
                return None
        return self.answer(404, {"error": "no such route"})

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self, status: int, content: Any = b"", **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def is_known(self) -> bool:
        return self.headers.get("authorization", "").removeprefix("Bearer ") in self.hub.tokens

    def repository(self, name: str) -> Repository | None:
        found = self.hub.repositories.get(name)
        if found is None or (found.private and not self.is_known):
            self.answer(404 if self.is_known else 401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return found

    def resolve(self, body: bytes, name: str, revision: str, file: str) -> None:
        if (found := self.repository(name)) is None:
            return None
        if (commit := found.find(revision)) is None:
            return self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        here = {"X_Repo_Commit": oid(commit)}
        if (content := found.commits[commit].get(file)) is None:
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", **here)
        tag = hashlib.sha256(content).hexdigest()
        if file.endswith(".safetensors"):  # large files are elsewhere
            self.hub.large[tag] = content
            linked = {"X_Linked_Etag": f'"{tag}"', "X_Linked_Size": str(len(content))}
            return self.answer(302, Location=f"{self.hub.store}/cdn/{tag}", **linked, **here)
        return self.answer(200, content, ETag=f'"{tag}"', **here)

    def large(self, body: bytes, tag: str) -> None:
        if self.command == "PUT":
            self.hub.large[tag] = body
        self.answer(200, b"" if self.command == "PUT" else self.hub.large[tag], ETag=f'"{tag}"')

    def info(self, body: bytes, name: str, revision: str | None) -> None:
        if (found := self.repository(name)) is None:
            return None
        if (commit := found.find(revision or "main")) is None:
            return self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        files = [{"rfilename": file} for file in found.commits[commit]]
        return self.answer(200, {"id": name, "sha": oid(commit), "private": found.private, "siblings": files})

    def create(self, body: bytes) -> None:
        if not self.is_known:
            return self.answer(401, {"error": "Invalid username or password."})
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if not name.startswith("user/"):
            return self.answer(403, {"error": "You don't have the rights to create a model under this namespace"})
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.hub.repositories[name] = Repository(bool(private))
        return self.answer(200, {"url": f"{self.hub.address}/{name}", "id": name})

    def valid_yaml(self, body: bytes) -> None:
        self.answer(200, {"errors": [], "warnings": []})

    def preupload(self, body: bytes, name: str) -> None:
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self.answer(200, {"files": modes})

    def batch(self, body: bytes, name: str) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.store}/cdn/{each['oid']}"}}}
            for each in json.loads(body)["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def commit(self, body: bytes, name: str) -> None:
        if (found := self.repository(name)) is None:
            return
        files = dict(found.commits[-1])
        for line in body.splitlines():
            each = json.loads(line)
            value = each["value"]
            if each["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif each["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif each["key"] == "deletedFile":
                del files[value["path"]]
        found.commits.append(files)
        address = f"{self.hub.address}/{name}/commit/{oid(len(found.commits) - 1)}"
        self.answer(200, {"success": True, "commitUrl": address, "commitOid": oid(len(found.commits) - 1)})


_REPOSITORY = "([^/]+/[^/]+)"
ROUTES: dict[str, Any] = {
    f"(?:GET|HEAD) /{_REPOSITORY}/resolve/([^/]+)/(.+)": _Handler.resolve,
    "(?:GET|HEAD|PUT) /cdn/(.+)": _Handler.large,
    f"GET /api/models/{_REPOSITORY}(?:/revision/(.+))?": _Handler.info,
    "POST /api/repos/create": _Handler.create,
    "POST /api/validate-yaml": _Handler.valid_yaml,
    f"POST /api/models/{_REPOSITORY}/preupload/main": _Handler.preupload,
    rf"POST /{_REPOSITORY}\.git/info/lfs/objects/batch": _Handler.batch,
    f"POST /api/models/{_REPOSITORY}/commit/main": _Handler.commit,
}
