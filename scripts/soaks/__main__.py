"""`scripts/soak`."""

from scripts.soaks.command import main

main()
