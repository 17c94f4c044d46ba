from vae_exp.results.metrics import MetricsTable, read_metrics


class TestMetricsTable:
    def test_appends_rows(self, tmp_path):
        table = MetricsTable(tmp_path / "metrics.csv")
        for samples in (100, 200):
            table.append({"samples": samples, "test/bound": -samples / 3})
        assert read_metrics(tmp_path / "metrics.csv") == [
            {"samples": 100, "test/bound": -100 / 3},
            {"samples": 200, "test/bound": -200 / 3},
        ]

    def test_forgets_what_came_after_the_checkpoint_and_half_a_row(self, tmp_path):
        path = tmp_path / "metrics.csv"
        path.write_text("samples,test/bound\n100,-3.5\n200,-2.5\n300,-1.5\n4")
        table = MetricsTable(path, until=200)
        table.append({"samples": 300, "test/bound": -1.25})
        assert path.read_text() == "samples,test/bound\n100,-3.5\n200,-2.5\n300,-1.25\n"

    def test_a_run_keeps_the_columns_that_it_began_with(self, tmp_path):
        path = tmp_path / "metrics.csv"
        path.write_text("samples,test/bound\n100,-3.5\n")
        MetricsTable(path, until=100).append({"samples": 200, "test/bound": -2.5, "test/a_later_version's": 1.0})
        assert path.read_text() == "samples,test/bound\n100,-3.5\n200,-2.5\n"


def test_half_a_number_is_no_number(tmp_path):
    (tmp_path / "metrics.csv").write_text("samples,test/bound\n100,-3.5\n200,-1")  # of −123.4
    assert read_metrics(tmp_path / "metrics.csv") == [{"samples": 100, "test/bound": -3.5}]
