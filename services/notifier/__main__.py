"""`python -m services.notifier`: this service alone, configured by its environment."""

from chassis.core.settings import load
from chassis.runtime.lifecycle import run_main
from services.notifier.app import Notifier
from services.notifier.settings import Settings


def main() -> None:
    run_main(lambda: [Notifier(load(Settings))])


if __name__ == "__main__":
    main()
