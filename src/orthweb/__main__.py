"""`python -m orthweb`."""

from orthweb.cli.main import main

main()
