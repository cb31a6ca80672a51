"""`python -m services.transcoder`: this service alone, configured by its environment."""

from chassis.core.settings import load
from chassis.runtime.lifecycle import run_main
from services.transcoder.app import Transcoder
from services.transcoder.settings import Settings


def main() -> None:
    run_main(lambda: [Transcoder(load(Settings))])


if __name__ == "__main__":
    main()
