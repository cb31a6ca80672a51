"""`python -m services.catalog`: this service alone, configured by its environment."""

from chassis.core.settings import load
from chassis.runtime.lifecycle import run_main
from services.catalog.app import Catalog
from services.catalog.settings import Settings


def main() -> None:
    run_main(lambda: [Catalog(load(Settings))])


if __name__ == "__main__":
    main()
