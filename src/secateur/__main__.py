"""`python -m secateur` is the `secateur` command."""

from secateur.cli import main

if __name__ == "__main__":
    main()
