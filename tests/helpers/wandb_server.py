"""A stand-in for W&B's server on the loopback interface. It stores what W&B's own clients send."""

import json
import os
import re
import sys
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TEAM = {"id": "1", "name": "team"}  # owns everything; the clients ignore the ids of other objects


def environment(home: Path, url: str | None = None) -> dict[str, str]:
    """Return the environment of a user without a W&B account, or with one at `url` only.

    The scripts of this Python's environment are the first in PATH.
    """
    plain = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    plain["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), plain["PATH"]])
    nothing = {"NETRC": f"{home}/netrc", "WANDB_CONFIG_DIR": str(home), "WANDB_ERROR_REPORTING": "false"}
    return plain | nothing | ({"WANDB_BASE_URL": url, "WANDB_API_KEY": 40 * "0"} if url else {})


@dataclass
class Run:
    """The data of one run: its properties, the lines of each stream by their number, its files and its exit code."""

    properties: dict[str, Any]
    streams: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    def lines(self, stream: str) -> list[Any]:
        return [json.loads(line) for _, line in sorted(self.streams.get(stream, {}).items())]

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.lines("wandb-history.jsonl")

    @property
    def config(self) -> dict[str, Any]:
        return {key: item["value"] for key, item in json.loads(self.properties["config"]).items()}

    def add(self, sent: dict[str, Any]) -> None:
        for stream, part in (sent.get("files") or {}).items():
            self.streams.setdefault(stream, {}).update(enumerate(part["content"], part["offset"]))
        if sent.get("complete"):
            self.exit_code = sent["exitcode"]

    def bucket(self) -> dict[str, Any]:
        """Return what a client needs to resume the run."""
        name, events = self.properties["name"], self.lines("wandb-events.jsonl")
        about = {key: self.properties[key] for key in ("name", "displayName", "config")} | {"id": name}
        summary = {"summaryMetrics": json.dumps((self.lines("wandb-summary.json") or [{}])[0])}
        counts = {"historyLineCount": len(self.history), "eventsLineCount": len(events), "logLineCount": 0}
        tails = {"historyTail": _tail(self.history), "eventsTail": _tail(events), "wandbConfig": '{"t": 1}'}
        return about | summary | counts | tails | {"project": {"id": "1", "name": "", "entity": TEAM}}


def _tail(lines: list[Any]) -> str:
    return json.dumps([json.dumps(line) for line in lines[-1:]])


class Server(ThreadingHTTPServer):
    """Store runs, views and sweeps. A sweep's agents receive the `settings`, one after another."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.runs: dict[str, Run] = {}
        self.views: list[dict[str, Any]] = []
        self.sweeps: dict[str, str] = {}
        self.settings: list[dict[str, Any]] = []

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL query, which is named by its field."""
        match query:
            case "viewer":
                return TEAM | {"entity": "team", "username": "someone", "teams": {"edges": []}, "flags": "{}"}
            case "serverInfo":
                return {"features": []}
            case "model":
                bucket = self.runs[variables["name"]].bucket() if variables["name"] in self.runs else None
                return TEAM | {"entity": TEAM, "bucket": bucket}
            case "upsertBucket":
                inserted = variables["name"] not in self.runs
                run = self.runs.setdefault(variables["name"], Run({"displayName": "", "config": "{}"}))
                run.properties |= {key: value for key, value in variables.items() if value is not None}
                return {"bucket": run.bucket(), "inserted": inserted}
            case "createRunFiles":
                files = [
                    {"name": name, "uploadUrl": f"{self.url}/{variables['run']}/{name}"} for name in variables["files"]
                ]
                return {"runID": variables["run"], "uploadHeaders": [], "files": files}
            case "createArtifact":  # a table is an artifact; its files are stored with those of its run
                return {"artifact": {"id": variables["input"]["runName"], "state": "PENDING", "artifactSequence": {}}}
            case "createArtifactFiles":
                files = [
                    (file["name"], f"{self.url}/{file['artifactID']}/") for file in variables["input"]["artifactFiles"]
                ]
                nodes = [{"storagePath": name, "uploadUrl": url + name, "artifact": TEAM} for name, url in files]
                return {"files": {"edges": [{"node": node} for node in nodes]}}
            case "createArtifactManifest":
                url = f"{self.url}/{variables['artifactID']}/{variables['name']}"
                return {"artifactManifest": TEAM | {"file": TEAM | {"uploadUrl": url, "uploadHeaders": []}}}
            case "commitArtifact":
                return {"artifact": TEAM | {"digest": ""}}
            case "upsertSweep":
                name = f"sweep{len(self.sweeps)}"
                self.sweeps[name] = variables["config"]
                return {
                    "sweep": {"name": name, "project": {"id": "1", "name": variables["projectName"], "entity": TEAM}}
                }
            case "project":
                sweep = {"config": self.sweeps.get(variables.get("sweep", "")), "runs": {"edges": []}}
                return {"sweep": sweep, "artifact": None}
            case "createAgent":
                return {"agent": TEAM}
            case "agentHeartbeat":
                commands = [{"type": "run", "program": "vae_exp", **self.settings.pop(0)}] if self.settings else []
                return {"agent": TEAM, "commands": json.dumps(commands)}
            case "upsertView" if variables["entityName"] != "strangers":
                self.views.append(variables)
                return {"view": {"id": "1", "name": variables["name"]}}
        raise PermissionError(f"permission denied: {query}")


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body, answer = self.rfile.read(int(self.headers.get("Content-Length", 0))), {}
        if self.path == "/graphql":
            request = json.loads(body)
            name = re.search(r"{\s*(\w+)", request["query"])[1]
            try:
                answer = {"data": {name: self.server.answer(name, request.get("variables") or {})}}
            except PermissionError as error:
                answer = {"errors": [{"message": str(error)}], "data": None}
        elif self.path.endswith("/file_stream"):
            self.server.runs[self.path.split("/")[-2]].add(json.loads(body))
        self.reply(answer)

    def do_PUT(self) -> None:
        _, run, name = self.path.split("/", 2)
        self.server.runs[run].files[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({})

    def reply(self, answer: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *words: object) -> None:
        pass
