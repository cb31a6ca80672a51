"""`python -m services.transcoder`: this service alone, configured by its environment."""

from chassis.lifecycle import run_main
from chassis.settings import load
from services.transcoder.app import Transcoder
from services.transcoder.settings import Settings


def main() -> None:
    run_main(lambda: [Transcoder(load(Settings))])


if __name__ == "__main__":
    main()
