"""Threads: the same bits for any number, Ctrl-C within a second, forks, calls from several threads of Python."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

import implicitdsl

TEXT = """
ode Lotka(y0[2], p[4], ts[T]) -> [T, 2] {
  param weight[6] = 1
  state x = y0[0], y = y0[1]
  dx/dt = p[0]*x - p[1]*x*y*weight[1]
  dy/dt = p[3]*x*y - p[2]*y
  return [x, y] at ts
}
"""


def starts(batch: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    rates = torch.tensor([1.5, 1.0, 3.0, 1.0]) * (1 + 0.1 * torch.randn(batch, 4, generator=generator))
    return [torch.ones(batch, 2).double(), rates.double(), torch.linspace(0, 5, 7).double()]


def run(layer: torch.nn.Module, given: list[torch.Tensor]) -> list[torch.Tensor]:
    tensors = [g.clone().requires_grad_() for g in given]
    # Twice, because the first call of a layer runs on one thread.
    for _ in range(2):
        found = layer(*tensors)
        grads = torch.autograd.grad(found.square().sum(), [*tensors, *layer.parameters()])
    return [found.detach(), *grads]


def test_any_number_of_threads_gives_the_same_bits() -> None:
    given = starts(1000)
    models = implicitdsl.loads(TEXT)
    one, three = (run(models.Lotka(threads=n, dtype=torch.float64, backend="lanes"), given) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        assert torch.equal(a, b)


def test_threads_of_python_share_a_layer() -> None:
    given = starts(400)
    layer = implicitdsl.loads(TEXT).Lotka(dtype=torch.float64, backend="lanes", threads=2)
    wanted = run(layer, given)
    found: dict[int, list[torch.Tensor]] = {}

    def work(number: int) -> None:
        found[number] = run(layer, given)

    crew = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    for number in range(4):
        for a, b in zip(found[number], wanted, strict=True):
            assert torch.equal(a, b)


INTERRUPTED = """
import os, signal, threading, time
# A process that was started in the background ignores the signal, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
import torch, implicitdsl
layer = implicitdsl.loads('''
ode Slow(x0) -> [1] {{
  state x = x0
  from t = 0 to 1e9
  dx/dt = cos(t)
  return [x]
}}
''').Slow(dtype=torch.float64, backend="lanes", {solver}, max_steps=10**12, threads={threads})
layer.prepare()
def interrupt():
    time.sleep(1.0)
    print("now", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
begun = time.perf_counter()
try:
    layer(torch.zeros({batch}, dtype=torch.float64))
except KeyboardInterrupt:
    print("interrupted", flush=True)
quick = implicitdsl.loads('ode Quick(x0) -> [1] {{\\n  state x = x0\\n  from t = 0 to 1\\n  dx/dt = -x\\n  return [x]\\n}}').Quick(dtype=torch.float64)
print(abs(float(quick(1.0)) - 0.36787944117144233) < 1e-6)
"""


@pytest.mark.parametrize(("batch", "threads", "solver"), [(1, 1, "rk4"), (64, 2, "rk4"), (1, 1, "rodas5p")])
def test_ctrl_c_ends_a_run_without_end_and_the_next_one_is_right(batch: int, threads: int, solver: str) -> None:
    text = INTERRUPTED.format(batch=batch, threads=threads, solver=f'solver="{solver}(dt = 1e-3)"')
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.split() == ["now", "interrupted", "True"], done.stdout + done.stderr


WORKER = """
import torch, implicitdsl
layer = implicitdsl.loads({text!r}).Lotka(dtype=torch.float64, backend="lanes", threads=2)
p = torch.tensor([1.5, 1.0, 3.0, 1.0]).double()
ts = torch.linspace(0, 5, 7).double()
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        with torch.no_grad():
            return layer(torch.ones(300, 2).double(), p, ts)
if __name__ == "__main__":
    wanted = [Data()[0] for _ in range(2)][1]
    for found in torch.utils.data.DataLoader(Data(), num_workers=2, multiprocessing_context="fork"):
        assert torch.equal(found[0], wanted)
    print("done")
"""


FORKED = """
import os, threading, time
import torch, implicitdsl
from implicitdsl.backends import interrupt
from implicitdsl.backends.lanes.machine_code import MachineCode

layer = implicitdsl.loads("net Twice(x) -> y { return 2*x }").Twice(dtype=torch.float64, backend="lanes")
inside, leave = threading.Event(), threading.Event()
parent = os.getpid()
original = MachineCode.object

def object(self, part, shared):
    if os.getpid() == parent:
        inside.set()
        leave.wait()
    return original(self, part, shared)

MachineCode.object = object
thread = threading.Thread(target=lambda: layer(torch.ones(3).double()))
thread.start()
inside.wait()
with interrupt.stopping():
    child = os.fork()
    if child == 0:
        os._exit(0 if layer(torch.ones(3).double()).tolist() == [2.0] * 3 else 1)
leave.set()
thread.join()
for _ in range(300):
    found, status = os.waitpid(child, os.WNOHANG)
    if found:
        break
    time.sleep(0.1)
else:
    os.kill(child, 9)
    raise SystemExit("the child hangs")
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


def test_a_child_forked_while_another_thread_loads_code_runs_the_layer() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def test_a_forked_worker_of_a_data_loader_runs_the_layer() -> None:
    text = WORKER.format(text=TEXT)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "done\n", done.stderr
