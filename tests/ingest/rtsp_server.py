"""A camera for the tests: GStreamer's RTSP server, run by the system's Python. Prints `ready` once it listens.

    rtsp_server.py PORT [--film FILE --codec h264|h265] [--loss PROBABILITY] [--basic|--digest USER PASSWORD]

  /film     the pictures and the sound of an MP4 file, from its beginning, for each client
  /live     a test picture and a tone as they happen
  /lossy    the same, without some of the picture's packets
  /talk     the same with a sound that nobody streams (G.711)
  /motion   Motion JPEG
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=25/1 ! "
H264 = PICTURE + (
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=600 ! h264parse ! rtph264pay config-interval=-1 "
)
TONE = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! "
AAC = TONE + "avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97"

arguments = argparse.ArgumentParser()
arguments.add_argument("port")
arguments.add_argument("--film")
arguments.add_argument("--codec", default="h264")
arguments.add_argument("--loss", default="0")
arguments.add_argument("--basic", nargs=2)
arguments.add_argument("--digest", nargs=2)
arguments = arguments.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(arguments.port)

if arguments.basic or arguments.digest:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if arguments.basic:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*arguments.basic), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(*arguments.digest, token)
    server.set_auth(auth)


def offer(path, launch):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + launch + " )")
    role = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    factory.add_role_from_structure(Gst.Structure.from_string(role)[0])
    server.get_mount_points().add_factory(path, factory)


if arguments.film:
    codec = arguments.codec
    offer(
        "/film",
        f"filesrc location={arguments.film} ! qtdemux name=d "
        f"d.video_0 ! queue ! {codec}parse ! rtp{codec}pay name=pay0 pt=96 "
        "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97",
    )
offer("/live", H264 + "name=pay0 pt=96 " + AAC)
offer("/lossy", H264 + f"pt=96 ! identity drop-probability={arguments.loss} name=pay0 " + AAC)
offer("/talk", H264 + "name=pay0 pt=96 " + TONE + "audioresample ! mulawenc ! rtppcmupay name=pay1")
offer("/motion", PICTURE + "videoconvert ! video/x-raw,format=I420 ! jpegenc ! rtpjpegpay name=pay0 pt=26")

server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
