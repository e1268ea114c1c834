"""Sweeps: one function, many configurations, on the cores of this machine, on a Dask cluster or through MPI.

    from pyham import sweep
    from pyham.training.experiment import accuracies

    runs = sweep.grid(architecture=["H1", "H2"], depth=[4, 16, 64], seed=range(10))
    outcomes = sweep.run(accuracies, runs, "results.jsonl")                                 # processes on this machine
    outcomes = sweep.run(accuracies, runs, "results.jsonl", executor=client.get_executor)   # dask.distributed.Client
    outcomes = sweep.run(accuracies, runs, "results.jsonl", executor=MPIPoolExecutor)       # mpi4py.futures

Processes on this machine share its cores. Workers of others use as many threads each as pyham finds cores, unless told
otherwise: ``client.run(pyham.set_num_threads, 1)``, or an executor that does so for its workers,
``executor=partial(MPIPoolExecutor, initializer=pyham.set_num_threads, initargs=(1,))``.

Every outcome is appended to the file when it comes. A sweep that was stopped, or killed, goes on with the same call and
repeats nothing that is in the file; a run that fails is kept with its error, and the others go on; a worker that dies
takes nothing with it but the time it spent. The file holds no times, so that it is the same, line for line but for
their order, wherever and by however many processes it was made; times are in a file beside it, ``results.jsonl.log``.
"""

from pyham.sweep.ledger import Outcome, read
from pyham.sweep.pool import Processes
from pyham.sweep.run import grid, run

__all__ = ["Outcome", "Processes", "grid", "read", "run"]
