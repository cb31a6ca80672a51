"""The command line of jobs: `video`, `image`, `audio`, `animation`, `adaptive`, and of single tasks."""

import argparse
from typing import get_args

from cli.parser import lazy, number, output_form
from schemas.jobs import Priority
from schemas.options import ImageFormat, Quality, VideoFormat

TASK_KINDS = ("probe", "import", "video", "audio", "image", "animation", "adaptive_video", "export")
_RUN = lazy("cli.job_command")


def video(command: argparse.ArgumentParser) -> None:
    """`ittybit video`."""
    _job(command, "video", ", ".join(get_args(VideoFormat)))
    _size(command)
    _span(command)
    command.add_argument("--codec", help="h264, h265, vp9, av1")
    command.add_argument("--fps", type=number, metavar="RATE", help="frames a second, 1 to 60")
    command.add_argument("--frames", type=number, metavar="COUNT", help="at most so many frames")
    command.add_argument("--no-audio", "--mute", action="store_true", dest="mute", help="without sound")
    command.add_argument("--subtitle-url", metavar="URL", help="subtitles to burn in")
    command.set_defaults(run=_RUN)


def image(command: argparse.ArgumentParser) -> None:
    """`ittybit image`."""
    _job(command, "image", ", ".join(get_args(ImageFormat)))
    _size(command)
    command.add_argument("--start", type=number, metavar="SECONDS", help="of a video: the time of the frame (0)")
    command.set_defaults(run=_RUN)


def audio(command: argparse.ArgumentParser) -> None:
    """`ittybit audio`."""
    _job(command, "audio", "mp3, aac, ogg, opus, wav, flac")
    _span(command)
    command.add_argument("--target-lufs", type=number, metavar="LUFS", help="normalise the loudness, such as -16")
    command.set_defaults(run=_RUN)


def animation(command: argparse.ArgumentParser) -> None:
    """`ittybit animation`."""
    _job(command, "animation", "gif, webp")
    _size(command)
    _span(command, end_required=True)
    command.add_argument("--fps", type=number, metavar="RATE", help="frames a second (10)")
    command.set_defaults(run=_RUN)


def adaptive(command: argparse.ArgumentParser) -> None:
    """`ittybit adaptive`."""
    _job(command, "adaptive_video", "hls")
    _span(command)
    command.add_argument("--subtitle", metavar="URL", help="subtitles (VTT) of the stream")
    command.add_argument("--subtitle-label", metavar="TEXT", help="their name in the player")
    command.add_argument("--encryption", choices=("aes-128",))
    command.add_argument("--key-url", metavar="URL", help="where players get the key")
    command.add_argument("--mute-video", action="store_true", help="sound only")
    command.set_defaults(run=_RUN)


def task(command: argparse.ArgumentParser) -> None:
    """`ittybit task KIND`."""
    command.add_argument("kind", choices=TASK_KINDS)
    command.add_argument("-i", "--input", required=True, metavar="JSON", help="a file object, or - for standard input")
    command.add_argument("-o", "--output", metavar="FILE|S3", help="where the result goes")
    command.add_argument("--options", metavar="JSON", help="the options of the task, as an object")
    _quality(command, "of the output")
    _size(command)
    _span(command)
    _place(command)
    output_form(command)
    command.add_argument("--debug", action="store_true", help="show the commands that run and their output")
    command.set_defaults(run=lazy("cli.task_command"))


def _job(command: argparse.ArgumentParser, kind: str, formats: str) -> None:
    command.add_argument(
        "-i",
        "--input",
        required=True,
        nargs="+",
        action="extend",
        metavar="FILE|URL|S3",
        help="what to work on: several, or a pattern such as '*.mov', are worked on in parallel",
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE|S3",
        help="where the result goes; its extension sets the format. For several inputs a folder, or a prefix with / at "
        "its end. Without it: INPUT-KIND.EXTENSION in the current folder",
    )
    _quality(command, formats)
    _place(command)
    command.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="with the API: your own")
    command.add_argument("--webhook-url", metavar="URL", help="with the API: receives a webhook when the job ends")
    command.add_argument("--priority", choices=get_args(Priority), help="with the API: before or after your other jobs")
    output_form(command)
    command.add_argument("--debug", action="store_true", help="show the commands that run and their output")
    command.set_defaults(kind=kind)


def _quality(command: argparse.ArgumentParser, formats: str) -> None:
    command.add_argument("--format", help=formats)
    command.add_argument("--quality", help=", ".join(get_args(Quality)))


def _place(command: argparse.ArgumentParser) -> None:
    place = command.add_mutually_exclusive_group()
    place.add_argument("--cloud", action="store_true", help="through the API: the default where one is set, or saved")
    place.add_argument("--local", action="store_true", help="in this process, without any service")
    command.add_argument("--async", action="store_true", dest="detach", help="with the API: do not wait for the end")
    command.add_argument("--connection", metavar="NAME", help="the connection for s3:// addresses: its name or id")
    command.add_argument("--force", action="store_true", help="overwrite a file that is there")


def _size(command: argparse.ArgumentParser) -> None:
    command.add_argument("--width", type=number, metavar="PIXELS")
    command.add_argument("--height", type=number, metavar="PIXELS")
    command.add_argument("--fit", help="contain, cover, fill: for both a width and a height")
    command.add_argument("--background", metavar="#RRGGBB", help="put behind transparent pixels")


def _span(command: argparse.ArgumentParser, *, end_required: bool = False) -> None:
    command.add_argument("--start", type=number, metavar="SECONDS", help="where in the input to start")
    command.add_argument("--end", type=number, metavar="SECONDS", required=end_required, help="where to stop")
