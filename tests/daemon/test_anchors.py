"""The daemon hands over what it published, and an anchor that hangs keeps no category waiting."""

import os
import signal
from pathlib import Path

from tests.daemon.test_service import SOON, verified


def test_what_a_run_published_is_handed_over_and_an_anchor_that_hangs_holds_nobody_up(office, tmp_path):
    office.post(schedule=SOON)
    pids = tmp_path / "pids"
    text = office.config.read_text()
    hanging = f'[sh, -c, "echo $$ >> {pids}; exec sleep 600"]'
    (office.folder / "vault").mkdir()
    anchors = f"/shop, anchors: [{{store: vault}}, {{command: {hanging}}}]}}"
    vault = "stores:\n  vault: {type: files, path: vault, location: GB}\n"
    office.config.write_text(text.replace("/shop}", anchors).replace("stores:\n", vault))
    with office.daemon("--patience", "20") as daemon:
        daemon.ended("post", result="done", counts={"disposed": 10})
        while not (pids.exists() and office.left("vault")):
            daemon.ended("post")
        office.letters(2, first=200)
        daemon.ended("post", result="done", counts={"disposed": 2})
        assert daemon.end() == 0
    for pid in pids.read_text().split():
        if Path(f"/proc/{pid}/comm").exists() and Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
            os.kill(int(pid), signal.SIGKILL)
    assert office.entries("checkpoint-anchored")
    verified(office)
