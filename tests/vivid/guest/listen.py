"""In holdfastd's place: hears what a worker says, and prints it shortly.

usage: listen.py SOCKET

  {"hello": n}                                          its nth connection
  {"picture": bool, "encoded": n, "signal": words}      every 500 ms; encoded counts pictures
  {"event": words}
"""

import json
import socket
import sys


def tell(**line):
    print(json.dumps(line), flush=True)


path = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
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
