"""`python -m services.thumbnailer`: this service alone, configured by its environment."""

from chassis.lifecycle import run_main
from chassis.settings import load
from services.thumbnailer.app import Thumbnailer
from services.thumbnailer.settings import Settings


def main() -> None:
    settings = load(Settings)
    run_main(lambda: [Thumbnailer(settings)], settings)


if __name__ == "__main__":
    main()
