"""Which tests every run has: one or two trials of each kind (`benchmarks/reliability.py` runs all), of slow tests one case."""

from pathlib import Path

import pytest

ALWAYS = (
    "test_mistakes_in",  # refused before anything is compiled
    "test_a_damaged_run_that_is_over[run.json",
    "test_the_checkpoint_before_a_damaged_one_is_used[newest with zeros]",
    "test_the_checkpoint_before_a_damaged_one_is_used[newest without its file]",
    "test_where_no_checkpoint_can_be_read_the_reason_of_each_is_said[cut]",
    "test_a_run_without_a_checkpoint_starts_from_step_0",
    "test_a_solution_of_step_0_is_not_taken_for_a_trained_one",
    "test_a_damaged_summary_is_written_again[summary.json {}]",
    "test_a_damaged_run_that_was_interrupted[metrics.jsonl binary]",
    "test_missing_figures_are_drawn_by_resume[figures missing]",
    "test_security.py",
    *(f"test_names_of_problem_files['{name}" for name in ("my problem", "[red]x", "new", "class", "a.b")),
    "test_a_signal_while_training_saves_and_says_how_to_go_on[SIGINT]",
    "test_a_second_signal_ends_the_chunk_at_once[SIGINT-SIGINT]",
    "test_a_signal_while_python_still_imports[SIGTERM-jaxlib]",
    "test_figures_that_a_signal_cut_off_are_drawn_by_resume[SIGTERM]",
    "test_two_processes_never_share_a_folder",
    "test_a_run_that_is_being_trained_is_not_resumed",
    "test_a_run_of_two_devices_is_used_again[export-windows]",
    "test_a_killed_run_goes_on_to_the_bit[plain-rows-5]",
    "test_a_full_disk[100]",
    "test_a_log_on_a_full_disk",
    "test_what_is_deleted_while_training[]",
    "test_files_that_a_problem_reads_by_itself_are_kept[open]",
    "test_files_that_a_problem_reads_by_itself_are_kept[a folder below]",
    "test_something_is_said_within_two_seconds",
)
"""Parts of the names of these trials; the others are `long`."""


ALL_CASES = (
    "test_problems_of_the_pages",
    "test_scripts_of_the_pages",
    "test_the_commands_of_the_page",
    "test_every_kind",
)
"""Slow tests of which every case runs always: what the documentation shows, and kinds that have little in common."""


def mark_the_others_long(items):
    """Mark what is left to a run that asks for it (`-m long`): trials that are not named above, further cases of slow tests."""
    seen = set()
    for item in items:
        test = item.nodeid.partition("[")[0]
        slow = item.get_closest_marker("slow") and not item.get_closest_marker("long")
        if slow and not any(name in test for name in ALL_CASES):
            if test in seen:
                item.add_marker(pytest.mark.long)
            seen.add(test)
        mine = Path(item.path).parent == Path(__file__).parent / "trials"
        if mine:
            item.add_marker(pytest.mark.slow)
        if mine and not any(part in item.nodeid for part in ALWAYS):
            item.add_marker(pytest.mark.long)
