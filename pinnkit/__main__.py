"""`python -m pinnkit`."""

from pinnkit.cli.main import main

main()
