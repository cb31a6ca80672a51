"""`python -m services.thumbnailer`: this service alone, configured by its environment."""

from chassis.core.settings import load
from chassis.runtime.lifecycle import run_main
from services.thumbnailer.app import Thumbnailer
from services.thumbnailer.settings import Settings


def main() -> None:
    run_main(lambda: [Thumbnailer(load(Settings))])


if __name__ == "__main__":
    main()
