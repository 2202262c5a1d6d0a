"""(i), (j) and (k): calls through the gateway with its books, through a pass-through, and straight to the upstream."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import get_args

import msgspec
import pytest

from gateway.ports import is_free
from tests.bench.gateway_books import check_books
from tests.bench.gateway_calls import Kind, call_job, run_calls
from tests.bench.gateway_load import Result
from tests.bench.gateway_pass import CHAT_PATH, DEMO_PATH
from tests.bench.gateway_server import Used
from tests.bench.http_posts import HOST
from tests.bench.measure import Measurement, interleave
from tests.bench.processes import Child, free_port, running
from tests.bench.report import Report, counted
from tests.bench.sizes import Size

pytestmark = pytest.mark.bench
