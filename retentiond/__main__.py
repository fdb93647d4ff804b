"""`python -m retentiond` is `retentiond`."""

from retentiond.cli import main

if __name__ == "__main__":
    main()
