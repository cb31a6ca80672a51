"""`python -m services.ingest`: this service alone, configured by its environment."""

from chassis.lifecycle import run_main
from chassis.settings import load
from services.ingest.app import Ingest
from services.ingest.settings import Settings


def main() -> None:
    run_main(lambda: [Ingest(load(Settings))])


if __name__ == "__main__":
    main()
