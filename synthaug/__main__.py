"""`python -m synthaug`: the same command line where the command `synthaug` is not on the path."""

from synthaug.cli import main

if __name__ == "__main__":
    main()
