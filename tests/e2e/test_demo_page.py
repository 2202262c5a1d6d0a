"""What the demo prints to paste: every line runs as printed, and answers what is printed under it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.test_readme import TOP, free_port

ANSWER = "# -> "
LAST = "# Why, step by step"


def test_the_printed_lines_answer_what_is_printed_under_them(tmp_path: Path) -> None:
    """Each paragraph that states an answer gives it, and all eight state one."""
    environ = os.environ | {"ROUTE_LEDGER_PORT": str(free_port()), "ROUTE_LEDGER_DATA": str(tmp_path / "data")}
    start = [sys.executable, "-c", "from gateway.command_line import main; main()", "demo"]
    with subprocess.Popen(start, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        try:
            assert demo.stdout is not None
            page = ""
            while LAST not in page:
                line = demo.stdout.readline()
                assert line, page
                page += line
            page = page.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
            keys, *paragraphs = [
                part for part in page.split("\n\n") if part.startswith((". ", "# ")) and not part.startswith(LAST)
            ]
            for paragraph in paragraphs:
                lines, _, answer = paragraph.partition(ANSWER)
                done = subprocess.run(
                    ["bash", "-ec", f"{keys}\n{lines}"], cwd=TOP, capture_output=True, text=True, check=True, timeout=60
                )
                for stated in answer.strip().split(" … "):
                    assert stated, paragraph
                    assert stated in done.stdout
        finally:
            os.killpg(demo.pid, signal.SIGINT)
    assert len(paragraphs) == 8
