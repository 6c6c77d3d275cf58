"""What every test starts with: no width of a terminal, which the processes of a parallel run are given."""

import os

os.environ.pop("COLUMNS", None)
