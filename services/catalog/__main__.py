"""`python -m services.catalog`: this service alone, configured by its environment."""

from chassis.lifecycle import run_main
from chassis.settings import load
from services.catalog.app import Catalog
from services.catalog.settings import Settings


def main() -> None:
    settings = load(Settings)
    run_main(lambda: [Catalog(settings)], settings)


if __name__ == "__main__":
    main()
