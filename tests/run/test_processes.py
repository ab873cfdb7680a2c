"""However a training process ends, forks or multiplies, the run says what is true."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import pytest

from epochal.journal.reader import read_journal
from epochal.records import Finished, Metrics, Notice
from epochal.store.store import Store

OPEN = "import epochal, os, sys, signal, time, threading\nrun = epochal.init('p', 'v1_baseline')\n"


@pytest.mark.parametrize(
    ("ending", "code", "status", "reason"),
    [
        ("run.log({'k': 1.0})", 0, "finished", ""),
        ("run.finish()", 0, "finished", ""),
        ("run.finish('failed', 'diverged')", 0, "failed", "diverged"),
        ("1 / 0", 1, "failed", "ZeroDivisionError: division by zero"),
        ("sys.exit(0)", 0, "finished", ""),
        ("sys.exit()", 0, "finished", ""),
        ("sys.exit(3)", 3, "failed", "sys.exit(3)"),
        ("sys.exit('no data')", 1, "failed", "sys.exit('no data')"),
        ("raise KeyboardInterrupt", -2, "killed", "KeyboardInterrupt"),
        ("os._exit(0)", 0, "killed", ""),
        ("os._exit(7)", 7, "killed", ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, "killed", ""),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -11, "killed", ""),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -15, "killed", "SIGTERM"),
        ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)", -1, "killed", "SIGHUP"),
        ("signal.raise_signal(2); time.sleep(60)", -2, "killed", "KeyboardInterrupt"),
        ("t = threading.Thread(target=sys.exit, args=(5,)); t.start()", 0, "finished", ""),
    ],
)
def test_the_status_after_each_way_to_end(script, ending, code, status, reason):
    """F4, F5: the exit code is kept, and no end is called a success that was none."""
    one = script(OPEN + ending)
    found_code, error = one.end()
    assert found_code == code, error
    run, found = one.only_run()
    assert found == status
    assert run.attempts[-1].reason == reason


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("pass", "finished", ""),
        ("raise ValueError('bad')", "failed", "ValueError: bad"),
        ("raise SystemExit(0)", "finished", ""),
        ("raise SystemExit(2)", "failed", "SystemExit: 2"),
        ("raise KeyboardInterrupt", "killed", "KeyboardInterrupt"),
    ],
)
def test_the_context_manager_says_how_it_was_left(start, records, body, status, reason):
    run = start()
    raises = pytest.raises(BaseException) if "raise" in body else contextlib.nullcontext()
    with raises, run:
        exec(body)
    assert run.finished
    assert (run.ending, records(run, Finished)[-1].reason) == (status, reason)


def test_a_handler_of_the_script_is_left_alone(script):
    """F4: whoever checkpoints on SIGTERM goes on doing so."""
    one = script(
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))\n"
        + OPEN
        + "print('ready', flush=True)\ntime.sleep(60)"
    )
    one.wait_for("ready")
    one.process.send_signal(signal.SIGTERM)
    code, _ = one.end()
    assert code == 0
    assert one.only_run()[1] == "finished"


def test_a_signal_in_the_midst_of_logging_loses_nothing_and_does_not_hang(script):
    """F4: the handler comes while log() holds its lock; tried many times."""
    one = script(
        OPEN
        + """
print("ready", flush=True)
step = 0
while True:
    run.log({"k": float(step)}, step=step)
    os.write(1, b"%d\\n" % step)
    step += 1
"""
    )
    one.wait_for("1000")
    one.process.send_signal(signal.SIGTERM)
    acknowledged = [line for line in one.process.stdout if line.strip()]
    code, error = one.end()
    assert code == -signal.SIGTERM, error
    run, status = one.only_run()
    assert status == "killed"
    assert run.attempts[-1].reason == "SIGTERM"
    # What was logged before the end was recorded; log() after it says that it is not.
    assert run.metrics["k"].n >= 1000
    assert run.metrics["k"].n <= int(acknowledged[-1]) + 2


def test_ctrl_c_in_the_midst_of_logging_repeats_no_position(script, records):
    """F4: KeyboardInterrupt may surface anywhere inside log()."""
    one = script(
        OPEN
        + """
import _thread
begun = threading.Event()  # only what is logged is to be interrupted, not the script around it
def interrupt():
    begun.wait()
    while time.monotonic() - t0 < 0.8:
        time.sleep(0.003)
        _thread.interrupt_main()
step, t0 = 0, time.monotonic()
threading.Thread(target=interrupt, daemon=True).start()
while time.monotonic() - t0 < 1.2:
    try:
        begun.set()
        while time.monotonic() - t0 < 1.2:
            run.log({"k": float(step)}, step=step)
            step += 1
    except KeyboardInterrupt:
        pass
try:
    print("logged", step, flush=True)
except KeyboardInterrupt:
    print("logged", step, flush=True)
time.sleep(0.2)
os._exit(0)
"""
    )
    logged = int(one.wait_for("logged"))
    one.end()
    (place,) = one.folder.run_folders()
    steps = [body.step for body in records(place, Metrics)]  # and no position twice or missing
    assert set(range(logged)) <= set(steps)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_record_into_the_run_under_writers_of_their_own(script, records, method):
    """F8: multiprocessing; nothing is lost, nothing mixed, nothing hangs."""
    # Spawned children import the script, so it needs a file.
    folder = script("").folder
    file = folder.root.parent / "train.py"
    file.write_text(
        f"""
import multiprocessing, epochal

def work(run, child):
    for step in range(20):
        run.log({{f"child/{{child}}": float(step)}}, step=step)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    run = epochal.init("p", "v1_baseline")
    run.log({{"parent": 1.0}})
    children = [context.Process(target=work, args=(run, n)) for n in range(3)]
    [c.start() for c in children]
    [c.join(40) for c in children]
    assert [c.exitcode for c in children] == [0, 0, 0], children
    run.log({{"parent": 2.0}})
"""
    )
    one = script(
        f"import runpy, sys; sys.argv=['train.py']; runpy.run_path({str(file)!r}, "
        "run_name='__main__')"
        if method == "fork"
        else f"import os, sys; os.execv(sys.executable, [sys.executable, {str(file)!r}])"
    )
    code, error = one.end()
    assert code == 0, error
    run, status = one.only_run()
    assert status == "finished"
    assert {k: s.n for k, s in run.metrics.items()} == {
        "parent": 2,
        **{f"child/{n}": 20 for n in range(3)},
    }
    (place,) = folder.run_folders()
    assert sum(isinstance(body, Finished) for body in records(place)) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_that_open_runs_of_their_own_end_them(folder, script, method):
    """F8: a sweep; no `atexit` runs in a child, and its exceptions never reach a hook."""
    file = folder.root.parent / "sweep.py"
    file.write_text(
        f"""
import multiprocessing, sys, epochal

def work(trial):
    run = epochal.init("p", f"v{{trial}}_trial", capture=False)
    run.log({{"k": 1.0}})
    if trial == 1:
        raise ValueError("diverged")
    if trial == 2:
        sys.exit(3)
    if trial == 3:
        sys.exit(0)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    run = epochal.init("p", "v9_parent", capture=False)
    children = [context.Process(target=work, args=(n,)) for n in range(4)]
    [c.start() for c in children]
    [c.join(40) for c in children]
    assert [c.exitcode for c in children] == [0, 1, 3, 0], [c.exitcode for c in children]
    run.log({{"k": 2.0}})
"""
    )
    one = script(f"import os, sys; os.execv(sys.executable, [sys.executable, {str(file)!r}])")
    code, error = one.end()
    assert code == 0, error
    assert "was still open" not in error
    with Store(folder) as store:
        ends = {run.name: (store.status(run), run.attempts[-1].reason) for run in store.runs()}
    assert ends == {
        "v0_trial": ("finished", ""),
        "v1_trial": ("failed", "ValueError: diverged"),
        "v2_trial": ("failed", "SystemExit: 3"),
        "v3_trial": ("finished", ""),
        "v9_parent": ("finished", ""),
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_many_forks_while_threads_log_do_not_hang(script, records):
    """F8: a lock that another thread held at the fork must not exist for the child."""
    one = script(
        OPEN
        + """
import faulthandler; faulthandler.dump_traceback_later(40, exit=True)
stop = threading.Event()
def work(n):
    step = 0
    while not stop.is_set():
        run.log({f"thread/{n}": float(step)}, step=step); step += 1
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]
for child in range(25):
    pid = os.fork()
    if pid == 0:
        run.log({f"child/{child}": 1.0}, step=0)
        print("from a child")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
[t.join() for t in threads]
"""
    )
    code, error = one.end()
    assert code == 0, error
    run, status = one.only_run()
    assert status == "finished"
    assert [run.metrics[f"child/{n}"].n for n in range(25)] == [1] * 25
    (place,) = one.folder.run_folders()
    records(place)  # nothing damaged, missing or repeated in any journal


def test_a_forked_child_that_ends_or_is_terminated_does_not_end_the_run(script):
    """F8: data loaders fork, and are terminated, while the training goes on."""
    one = script(
        OPEN
        + """
if (pid := os.fork()) == 0:
    run.log({"child": 1.0}); sys.exit(3)
os.waitpid(pid, 0)
if (pid := os.fork()) == 0:
    time.sleep(60)
time.sleep(0.1)
os.kill(pid, signal.SIGTERM)
assert os.waitpid(pid, 0)[1] == signal.SIGTERM
run.log({"after": 1.0})
"""
    )
    code, error = one.end()
    assert code == 0, error
    run, status = one.only_run()
    assert status == "finished"
    assert set(run.metrics) == {"child", "after"}


def test_eight_processes_record_into_one_run(script, start):
    """F9, F45, F46: helpers join by what the run pickles to."""
    run = start()
    import pickle

    packed = pickle.dumps(run).hex()
    workers = [
        script(
            f"""
import pickle
run = pickle.loads(bytes.fromhex({packed!r}))
for step in range(50):
    run.log({{"worker/{n}": step * 1.0, "shared": {n}.0}}, step=step)
"""
        )
        for n in range(8)
    ]
    for worker in workers:
        code, error = worker.end()
        assert code == 0, error
    run.finish()
    with Store(workers[0].folder) as store:
        found = store.run(run.id)
        assert {k: s.n for k, s in found.metrics.items() if k != "shared"} == {
            f"worker/{n}": 50 for n in range(8)
        }
        assert len(store.points.read(run.id, "shared")) == 400


def test_ranks_other_than_0_record_nothing(script):
    """F46: under DDP one process speaks."""
    source = OPEN + "epochal.log({'k': 1.0}); run.config['lr'] = 1; run.alert('x'); run.finish()"
    ranks = [script(source, RANK=str(rank)) for rank in range(4)]
    for rank, one in enumerate(ranks):
        code, error = one.end()
        assert (code, bool(error)) == (0, rank == 0), error
    run, status = ranks[0].only_run()
    assert (status, run.metrics["k"].n) == ("finished", 1)


def test_all_ranks_record_when_asked_to(script, folder):
    source = OPEN + "run.log({'k': 1.0})"
    ranks = [script(source, RANK=str(rank), EPOCHAL_RANKS="all") for rank in range(2)]
    assert [one.end()[0] for one in ranks] == [0, 0]
    headers = [read_journal(j.path).header for j in folder.journals()]
    assert sorted(header.rank for header in headers) == [0, 1]


def test_100_names_at_once(script, folder):
    """F48: processes that start together under one name are as many runs, in one project."""
    source = """
import epochal
for _ in range(10):
    epochal.init("p", "v1_baseline", capture=False).finish()
"""
    starters = [script(source) for _ in range(4)]
    for one in starters:
        code, error = one.end()
        assert code == 0, error
    with Store(folder) as store:
        assert store.projects() == ["p"]
        assert len({run.id for run in store.runs()}) == 40


def test_a_stopped_process_is_running_again_when_it_continues(script):
    """F6: SIGSTOP is no death."""
    one = script(OPEN + "print('ready', flush=True)\nsys.stdin.read(1)\ntime.sleep(60)")
    one.wait_for("ready")
    one.process.send_signal(signal.SIGSTOP)
    assert one.only_run()[1] == "running"
    one.process.send_signal(signal.SIGCONT)
    assert one.only_run()[1] == "running"
    one.process.kill()
    one.process.wait()
    assert one.only_run()[1] == "killed"


def test_a_short_training_records_where_it_ran(script):
    """Environment and console of a run that ends at once are there all the same."""
    one = script(OPEN + "print('hello from the training')")
    assert one.end()[0] == 0
    run, _ = one.only_run()
    assert run.environment["python"]["executable"] == sys.executable
    with Store(one.folder) as store:
        printed = [text.text for text in store.console(run.id) if text.stream == "stdout"]
    assert printed == ["hello from the training"]


def test_the_journal_goes_on_when_the_folder_moves(script, folder):
    """F23: a run whose workspace is moved under it loses nothing that it had open."""
    one = script(
        "import epochal, sys\nrun = epochal.init('p', 'v1_baseline', capture=False)\n"
        "run.log({'k': 1.0})\nprint('ready', flush=True)\nsys.stdin.readline()\n",
    )
    one.wait_for("ready")
    moved = folder.root.rename(folder.root.parent / "elsewhere")
    one.process.kill()
    one.process.wait()
    (journal,) = moved.glob("runs/*/journal/*.jsonl")
    bodies = [line.entry.body for line in read_journal(journal).lines]
    assert any(isinstance(body, Metrics) for body in bodies)
    assert not any(isinstance(body, Notice) and body.code == "error" for body in bodies)
