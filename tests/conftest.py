"""Settings of the whole test run."""

import os

# The networks of the tests are tiny: a second thread only waits, and waits busily where tests run
# beside other work. Set before torch is imported, and inherited by the commands that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
