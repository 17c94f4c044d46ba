"""What is about the machine: it is folded, and in no table or chart of results."""

from pages import report_data

from vae_exp.results.jobs import Job, read_jobs
from vae_exp.results.report.machine import duration, in_short, of_run, of_sweep

RESULTS = {
    "train_seconds": 2.0,
    "samples": 1000,
    "step": 10,
    "steps_per_second": 5.5,
    "evaluation_seconds": 90.0,
    "device": "cpu",
    "threads": 1,
}


def test_the_cost_of_an_image_and_an_update_is_the_time_without_evaluations(tmp_path):
    fold = of_run(Job("", tmp_path, {}, RESULTS, [{"samples": 1000, "seconds": 2.0, "test/bound": -1.0}]))
    assert fold.title == "Time and machine: 2 s, cpu, 2 ms per image"
    cost, progress = fold.tables
    assert dict(cost.rows)["one update"] == "200 ms"
    assert dict(cost.rows)["all evaluations"] == "1.5 min"
    assert progress.columns == ["samples", "seconds"]


def test_a_run_that_was_never_trained_has_no_cost(tmp_path):
    assert of_run(Job("", tmp_path, {}, {"status": "failed", "train_seconds": 0.0}, [])) is None
    assert of_sweep([Job("0", tmp_path, {}, {"status": "failed"}, [])]) is None
    assert in_short({"train_seconds": 3.0, "samples": 0}) == "3 s"


def test_times_have_three_digits():
    assert [duration(seconds) for seconds in (7200, 90, 12.345, 0.5, 2e-5)] == [
        "2 h",
        "1.5 min",
        "12.3 s",
        "500 ms",
        "20 µs",
    ]


def test_a_sweep_says_what_each_job_cost_apart_from_its_results(swept):
    fold = of_sweep(read_jobs(swept))
    (table,) = fold.tables
    assert [row[:2] for row in table.rows] == [["0", "0"], ["1", "1"], ["2", "2"]]
    assert {"training, s", "per image", "device"} <= set(table.columns)
    page = report_data(swept)
    (every,) = (found for found in page["tables"] if found["title"] == "Every job")
    shown = {*every["columns"], *page["summary"][0]["columns"]}
    assert "gap" in shown
    assert not shown & {"steps_per_second", "train_seconds", "evaluation_seconds", "device", "steps/s", "minutes"}
