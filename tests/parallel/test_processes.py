"""Several processes: how they learn of each other, what they agree on, and that two train to what one does."""

import pytest
from cases import refused

from pinnkit.cli import program
from pinnkit.parallel import processes


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, (1, None)),
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}, (4, 3)),
        ({"SLURM_NTASKS": "4"}, (1, None)),  # a shell of a job, not one of its tasks
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, (2, 0)),
        ({"PMI_SIZE": "8", "PMI_RANK": "7"}, (8, 7)),
        ({"JOB_COMPLETION_INDEX": "2"}, (1, 2)),
    ],
)
def test_what_launchers_say(variables, place):
    assert processes._place(variables) == place


def test_what_is_no_place():
    refused(lambda: processes.join(processes=2), "Which of the 2 processes", "--process", "srun")
    refused(lambda: processes.join(processes=2, process=2), "process is 2")
    refused(lambda: processes.join("host:1234"), "a coordinator, and one process", "--processes")
    refused(lambda: processes.join(processes=0), "processes is 0")


def test_one_process_agrees_with_itself():
    processes.join()
    assert not processes.several() and processes.is_first()
    assert processes.agreed(3.5) == processes.largest(3.5) == 3.5
    assert processes.from_first(lambda: 7, None) == 7
    with processes.own_folder() as folder:
        assert folder is None
    processes.part()


def test_options_of_a_process():
    arguments = ["heat", "--processes", "2", "--seed", "3", "--process=1", "--coordinator", "a:1"]
    assert program.split_place(arguments) == (
        ["heat", "--seed", "3"],
        {"--processes": "2", "--process": "1", "--coordinator": "a:1"},
    )
    refused(lambda: program.split_place(["heat", "--process"]), "--process has no value")
    refused(lambda: program.join_others("train", {"--processes": "two"}), "--processes is 'two'")
    assert program.join_others("show", {"--processes": "2", "--process": "0"})
    assert not program.join_others("show", {"--processes": "2", "--process": "1"})
