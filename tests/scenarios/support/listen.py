"""An RTMP receiver on PyAV (FFmpeg's libraries): one publisher after the other, every packet told and kept.

usage: listen.py PORT OUT_PREFIX SESSIONS

Session n goes to OUT_PREFIX-n.mkv. OUT_PREFIX.jsonl gets one line per packet,
  {"session": n, "video": bool, "pts": seconds, "key": bool, "size": bytes, "at": CLOCK_MONOTONIC seconds}
and {"session": n, "open": at}, {"session": n, "end": at} around them.
"""

import json
import sys
import time

import av

port, prefix, sessions = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log = open(prefix + ".jsonl", "w", buffering=1)


def tell(**line):
    log.write(json.dumps(line) + "\n")


for n in range(sessions):
    url = f"rtmp://127.0.0.1:{port}/live/key"
    # Waits for a publisher for as long as it takes; the test's guard ends this process.
    source = av.open(url, "r", options={"listen": "1", "timeout": "600", "analyzeduration": "3000000"}, timeout=(600, 60))
    tell(session=n, open=time.monotonic())
    sink = av.open(f"{prefix}-{n}.mkv", "w", options={"flush_packets": "1"})
    copies = {s.index: sink.add_stream_from_template(s, opaque=True) for s in source.streams if s.type in ("video", "audio")}
    try:
        for packet in source.demux(*copies):
            if packet.size == 0 or packet.pts is None:
                continue
            tell(
                session=n,
                video=packet.stream.type == "video",
                pts=float(packet.pts * packet.time_base),
                key=packet.is_keyframe,
                size=packet.size,
                at=time.monotonic(),
            )
            packet.stream = copies[packet.stream.index]
            sink.mux(packet)
    except (av.FFmpegError, OSError) as error:
        print(f"session {n} ended: {error}")
    tell(session=n, end=time.monotonic())
    sink.close()
    source.close()
