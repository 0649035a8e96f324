"""Serve Debian's Keystone on a loopback port.

    /usr/bin/python3 keystone_server.py CONFIG_FILE HOST PORT

Everything Keystone keeps lives where CONFIG_FILE says, so nothing below
/etc/keystone or /var/lib/keystone is read or written. The server is the
standard library's and answers one request at a time: with a thread per
request, a connection left behind by a failed request keeps SQLite locked.
"""

import os
import socketserver
import sys
import wsgiref.simple_server

from keystone.server.wsgi import initialize_public_application


class Server(wsgiref.simple_server.WSGIServer):
    request_queue_size = 64

    def server_bind(self):
        # WSGIServer's own bind asks DNS for the host's name; loopback has none.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]


def main():
    config, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sys.argv = ["keystone"]
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = config
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = os.path.dirname(config)
    app = initialize_public_application()
    Server.allow_reuse_address = True
    httpd = Server((host, port), Handler)
    httpd.set_app(app)
    print("keystone: serving on %s:%d" % (host, port), flush=True)
    httpd.serve_forever()


if __name__ == "__main__":
    main()
