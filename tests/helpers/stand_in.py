"""A stand-in of wandb's server on this machine: answers what the client asks for when a report is saved."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VIEWER = {"id": "VXNlcjox", "entity": "lab", "username": "ada", "email": "", "flags": "{}", "teams": {"edges": []}}


class Service:
    """What was asked, and what is answered: `status` (of HTTP), `errors` (of GraphQL), `wait` seconds before it."""

    def __init__(self):
        self.requests = []
        self.keys = set()
        self.projects = ["quant"]
        self.status, self.wait = 200, 0.0
        self.errors = {}

    def asked(self, operation):
        return [variables for name, variables in self.requests if name == operation]

    def answer(self, query, variables):
        name = query.split("(")[0].split("{")[0].split()[1]
        self.requests.append((name, variables))
        if name in self.errors:
            return {"data": None, "errors": [{"message": self.errors[name], "path": [name]}]}
        return {"data": getattr(self, name)(variables)}

    def Viewer(self, variables):
        return {"viewer": VIEWER}

    def GetProjects(self, variables):
        common = {"entityName": variables["entity"], "createdAt": "", "isBenchmark": False, "user": None}
        nodes = [{"id": name, "name": name, **common} for name in self.projects]
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": [{"node": node, "cursor": ""} for node in nodes], "pageInfo": page}}

    def CreateCustomChart(self, variables):
        return {"createCustomChart": {"chart": {"id": f"{variables['entity']}/{variables['chartName']}"}}}

    def upsertView(self, variables):
        project = {"id": "UHJvamVjdDox", "name": variables["projectName"], "entityName": variables["entityName"]}
        fields = {key: variables[key] for key in ("type", "name", "displayName", "description", "spec")}
        view = {"id": "Vmlld1JlcG9ydA==", "project": project, "updatedAt": "2026-11-30T00:00:00", **fields}
        return {"upsertView": {"view": view, "inserted": True}}

    def UpsertView2(self, variables):
        return {"upsertView": {"view": {"id": "V29ya3NwYWNl", "name": variables["name"]}, "inserted": True}}


@contextmanager
def running(service):
    """Serve; the address is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/graphql":  # the client asks whether its own metrics are wanted
                self.send_response(404)
                self.end_headers()
                return
            asked = json.loads(body)
            service.keys.add(self.headers.get("Authorization"))
            time.sleep(service.wait)
            answer = {"errors": [{"message": "no"}]}
            if service.status == 200:
                answer = service.answer(asked["query"], asked.get("variables") or {})
            self.send_response(service.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
