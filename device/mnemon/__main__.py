"""``python -m mnemon`` is ``mnemon``."""

from mnemon.commands.main import main

main()
