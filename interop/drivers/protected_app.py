"""A service behind keystonemiddleware's auth_token, as every OpenStack service is.

    /usr/bin/python3 protected_app.py AUTH_URL HOST PORT < ADMIN_PASSWORD

Whoever passes the middleware gets back, as JSON, what the middleware tells the
service about them.
"""

import json
import socketserver
import sys
import wsgiref.simple_server

from keystonemiddleware import auth_token


def app(environ, start_response):
    told = {k: v for k, v in environ.items() if k.startswith(("HTTP_X_", "HTTP_OPENSTACK")) and k != "HTTP_X_AUTH_TOKEN"}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]


class Server(wsgiref.simple_server.WSGIServer):
    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]


def main():
    url, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    conf = {
        "www_authenticate_uri": url, "auth_url": url, "auth_type": "password", "username": "admin",
        "password": sys.stdin.readline().strip(), "user_domain_id": "default", "project_name": "admin",
        "project_domain_id": "default", "interface": "public", "token_cache_time": "-1", "delay_auth_decision": "false",
    }
    sys.argv = ["protected_app"]
    httpd = Server((host, port), Handler)
    httpd.set_app(auth_token.AuthProtocol(app, conf))
    httpd.serve_forever()


if __name__ == "__main__":
    main()
