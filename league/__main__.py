"""`python -m league`."""

from league.cli import main

if __name__ == "__main__":
    main()
