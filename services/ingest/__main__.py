"""`python -m services.ingest`: this service alone, configured by its environment."""

from chassis.core.settings import load
from chassis.runtime.lifecycle import run_main
from services.ingest.app import Ingest
from services.ingest.settings import Settings


def main() -> None:
    run_main(lambda: [Ingest(load(Settings))])


if __name__ == "__main__":
    main()
