"""In holdfastd's place and in the data plane's: hears what a worker says, and prints it shortly; wants its pictures and
throws them away.

usage: listen.py SOCKET                                   and media.sock beside it

  {"hello": n}                                          its nth connection
  {"picture": bool, "encoded": n, "signal": words}      every 500 ms; encoded counts pictures
  {"event": words}
"""

import json
import os
import socket
import struct
import sys
import threading


def tell(**line):
    print(json.dumps(line), flush=True)


def listen(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    return server


def message(kind, **body):
    """The worker protocol: see src/encode/protocol.rs."""
    text = json.dumps(body).encode()
    return struct.pack(">BBHI", 0x48, kind, 0, len(text)) + text


def take_pictures(server):
    while True:
        connection, _ = server.accept()
        stream = connection.makefile("rb")
        while len(header := stream.read(8)) == 8:
            _, kind, _, length = struct.unpack(">BBHI", header)
            body = stream.read(length)
            if kind == 1:
                welcome = message(65, protocol=json.loads(body)["protocol"])
                connection.sendall(welcome + message(69, gate="open"))


path = sys.argv[1]
media = listen(os.path.join(os.path.dirname(path), "media.sock"))
threading.Thread(target=take_pictures, args=(media,), daemon=True).start()
server = listen(path)
connections = 0
while True:
    connection, _ = server.accept()
    for line in connection.makefile():
        said = json.loads(line)
        if said["say"] == "hello":
            connections += 1
            welcome = {"do": "welcome", "protocol": said["protocol"]}
            connection.sendall((json.dumps(welcome) + "\n").encode())
            tell(hello=connections)
        elif said["say"] == "worker":
            video = [stream for stream in said["streams"] if stream["rendition"] == "main"]
            tell(picture=said["has_picture"], encoded=sum(s["encoded"] for s in video), signal=said["signal"])
        elif said["say"] == "event":
            tell(event=said["reason"])
