"""The benchmarks run and report what they say; the figures themselves depend on the machine and are not asserted here."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
from benchmarks import busy, conv, cost, gpu, imports, interleave, jobs, machine, overhead, recording, step, works

from minidrop.errors import DeviceError
from minidrop.ops import conv_choice
from minidrop.paper.networks import DROPOUT_RATE, SIZES

RESULTS = pathlib.Path(overhead.__file__).parent / "results"
README = (pathlib.Path(overhead.__file__).parents[2] / "README.md").read_text()
PAGE = (pathlib.Path(overhead.__file__).parent / "README.md").read_text()


def stored(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


class TestOverhead:
    def test_reports_every_op(self, tmp_path, capsys):
        assert overhead.main(["--repeats", "3", "--length", "20", "--json", str(tmp_path / "rows.json")]) == 0
        printed = capsys.readouterr().out
        result = json.loads((tmp_path / "rows.json").read_text())
        assert [row["op"] for row in result["rows"]] == list(overhead.OPS)
        for row in result["rows"]:
            assert f"`{row['op']}`" in printed and row["minidrop"] > row["overhead"] > -row["bare"]
        assert {"python", "numpy", "processor", "date"} <= set(result["provenance"])

    def test_the_bare_arithmetic_is_what_the_ops_compute(self):
        """Each op of the benchmark has a row; a chain of one gives the right gradient."""
        y, b = overhead.minidrop_pair()
        for operation, _ in overhead.OPS.values():
            y.grad = None
            operation(y, b).sum().backward()
            assert y.grad.shape == (4,)

    def test_bad_arguments(self, capsys):
        with pytest.raises(SystemExit):
            overhead.main(["--repeats", "1"])
        assert "at least 2" in capsys.readouterr().err


class TestSteps:
    @pytest.mark.slow  # PyTorch is imported in a process of its own
    def test_both_frameworks_compute_the_same_work(self, tmp_path, capsys):
        pytest.importorskip("torch", reason="PyTorch is not installed")
        path = tmp_path / "step.json"
        assert step.main(["--works", "lite-mnist", "--turns", "2", "--repeats", "1", "--json", str(path)]) == 0
        (row,) = json.loads(path.read_text())["rows"]
        own, peer = row["results"]["minidrop"], row["results"]["torch"]
        assert own["checked"] == pytest.approx(peer["checked"], rel=1e-5)
        assert own["ms"] > 0 and own["peak_mb"] > 10 and own["ratio_low"] <= own["ratio"] <= own["ratio_high"]
        assert "**" in capsys.readouterr().out

    def test_a_framework_that_computes_something_else_is_found(self, monkeypatch):
        row = {"ms": 1.0, "lower": 1.0, "upper": 1.0, "ratio": 1.0, "ratio_lower": 1.0, "ratio_upper": 1.0, "peak_mb": 1.0}
        outcome = {"minidrop": row | {"checked": 2.31}, "torch": row | {"checked": 2.30}}
        monkeypatch.setattr(step, "race", lambda *arguments: outcome)
        with pytest.raises(RuntimeError, match=r"minidrop does not compute lite-mnist: 2.31 instead of 2.3"):
            step.measure([("lite-mnist", 2, 1.5)], ["minidrop", "torch"], 2, 1)

    def test_a_worker_that_fails_says_so(self):
        with pytest.raises(RuntimeError, match="the worker ended"):
            interleave.Worker("no_such_framework", "lite-mnist", 1)

    @pytest.mark.parametrize("arguments", [["--works", "paper"], ["--turns", "1"], ["--repeats", "0"]])
    def test_bad_arguments(self, arguments):
        with pytest.raises(SystemExit):
            step.main(arguments)

    @pytest.mark.parametrize("work", works.WORKS)
    def test_every_work_has_its_weights(self, work):
        """As many parameters as the network has: `build` would fail otherwise."""
        from benchmarks.frameworks.minidrop import network

        given = works.parameters(works.WORKS[work])
        made = network(works.WORKS[work], given, dropout=False)
        for parameter, value in zip(made.parameters(), given, strict=True):
            np.testing.assert_array_equal(parameter.data, value)

    @pytest.mark.parametrize("name", SIZES)
    def test_the_networks_are_those_of_minidrop(self, name):
        own, size = works.NETWORKS[name], SIZES[name]
        assert (own.filters, own.kernels, own.units) == (size.filters, size.kernels, size.units)
        assert own.same == (size.padding == "same") and own.dropout and works.DROPOUT_RATE == DROPOUT_RATE

    @pytest.mark.parametrize("name", ["published-cifar", "lite-mnist", "described-cifar"])
    def test_pytorch_is_cropped_as_minidrop_is(self, name):
        pytest.importorskip("torch", reason="PyTorch is not installed")
        from benchmarks.frameworks.torch_cropped import seen

        work = works.WORKS[name]
        assert tuple(seen(work, length) for length in work.image[1:]) == SIZES[work.network].seen(work.image)


class TestBusy:
    def test_measures_beside_all_and_leaves_nobody_behind(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(busy, "WORK", "lite-mnist")
        monkeypatch.setattr(busy, "SETTLE", 0.2)
        monkeypatch.setattr(busy, "BESIDE", {"nothing": [], "one busy Python process": [busy.BUSY]})
        monkeypatch.setattr(busy, "RUNNERS", {"minidrop": ("minidrop", None), "minidrop, 2 threads": ("minidrop", "2")})
        assert busy.main(["--turns", "2", "--json", str(tmp_path / "busy.json")]) == 0
        rows = json.loads((tmp_path / "busy.json").read_text())["rows"]
        assert [row["beside"] for row in rows] == ["nothing", "one busy Python process"]
        assert rows[0]["minidrop"]["times"] == 1 and all(row["minidrop"]["ms"] > 0 for row in rows)
        assert "| one busy Python process |" in capsys.readouterr().out

    def test_a_program_that_ends_is_no_company(self, monkeypatch):
        monkeypatch.setattr(busy, "SETTLE", 0.5)
        with pytest.raises(RuntimeError, match="ended"), busy.beside(["1 / 0"]):
            pass

    def test_the_default_holds_its_own(self):
        """As it was measured, and stored: at most 2.5 times as long as on a quiet machine, whatever runs beside."""
        for row in stored("busy")["rows"]:
            assert row["minidrop"]["times"] <= 2.5, row["beside"]


class TestImports:
    def test_measures_both(self, capsys):
        assert imports.main(["--repeats", "2"]) == 0
        assert "`import minidrop` takes" in capsys.readouterr().out


class TestRecording:
    def test_measures_all_four(self, tmp_path, capsys):
        assert recording.main(["--turns", "2", "--json", str(tmp_path / "recording.json")]) == 0
        assert capsys.readouterr().out.count("| published, ") == 2
        result = json.loads((tmp_path / "recording.json").read_text())
        assert all(row["step_ms"] > 0 and row["evaluation_ms"] > 0 for row in result["works"].values())

    def test_the_records_cost_at_most_3_percent_of_a_step(self):
        """As it was measured on a quiet machine, and stored."""
        for name, row in stored("recording")["works"].items():
            assert row["share"] <= 0.03, name


ROWS = [
    {"sweep": sweep, "length": length, "arithmetic": length**2, "auto": float(length), "im2col": 2.0 * length}
    for sweep, lengths in cost.SWEEPS.items()
    for length in lengths
]


class TestCost:
    def test_growth_is_compared_with_that_of_the_arithmetic(self):
        definition, own, time = cost.growth(ROWS, "channels")
        assert definition == pytest.approx((128 / 16) ** 2) and time == pytest.approx(128 / 16)
        assert time < own < definition  # the transforms grow as the channels, the products as their square
        assert cost.arithmetic(batch=2, size=3, kernel=5, channels=7) == 2 * 9 * 25 * 49

    def test_table_and_plot(self, tmp_path):
        expected = (
            "| batch | 1, 4, 16, 64, 256 | 65536.0 times | 117.4 times | 256.0 times | 1.0, 4.0, 16.0, 64.0, 256.0 | 2.0, 8.0,"
        )
        assert expected in cost.table(ROWS)
        cost.plot(ROWS, tmp_path / "cost.png")
        assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")

    def test_every_row_has_its_times(self, monkeypatch):
        monkeypatch.setattr(cost, "SWEEPS", {"kernel": (1, 3)})
        monkeypatch.setattr(cost, "MIDDLE", {"batch": 1, "size": 4, "kernel": 1, "channels": 2})
        assert [row["length"] for row in cost.measure(1)] == [1, 3]
        assert all(row["auto"] > 0 and row["im2col"] > 0 for row in cost.measure(1))


class TestConvolutions:
    def test_measures_and_says_what_auto_would_choose(self, monkeypatch, capsys, tmp_path):
        monkeypatch.setattr(conv, "SHAPES", [(1, 1, 4, 2, 3, 0), (1, 4, 4, 2, 3, "same")])
        monkeypatch.setattr(conv, "limit_threads", lambda threads: None)
        assert conv.main(["--turns", "2", "--fit", "--json", str(tmp_path / "conv.json")]) == 0
        assert "auto / best" in capsys.readouterr().out
        assert len(json.loads((tmp_path / "conv.json").read_text())["rows"]) == 4


class TestGpu:
    def test_without_a_gpu_it_says_so(self):
        with pytest.raises(DeviceError):
            gpu.main([])

    def test_the_report(self):
        work = {
            "milliseconds": {"minidrop, CUDA graph": 1.0},
            "ratios": dict.fromkeys(gpu.GOALS, 0.25),
            "gradient_error": 1e-6,
            "losses": {"CPU": 2.0},
        }
        result = {"provenance": {"gpu": "none"}, "dry_run": False, "works": {"published-cifar": work}}
        assert "| 8 replicas / 1 | 0.25 | 3.00 |" in gpu.report(result)
        assert "| 8 replicas / 1 | - | 3.00 |" in gpu.report(result | {"dry_run": True})

    @pytest.mark.gpu
    def test_all_but_the_times(self, capsys):
        assert gpu.main(["--dry-run", "--works", "lite-mnist"]) == 0
        printed = capsys.readouterr().out
        assert "| 8 replicas | - |" in printed and "nothing was timed" in printed and "2 replicas 2." in printed

    def test_another_loss_than_the_cpus_is_an_error(self):
        gpu.require_agreement({"CPU": 2.0, "CUDA graph": 2.0001, "CUDA graph, TF32": 2.01})
        for name, loss in (("CUDA graph", 2.001), ("CUDA graph", float("nan")), ("CUDA graph, TF32", 2.1)):
            with pytest.raises(gpu.Disagreement, match=f"{name}: the loss"):
                gpu.require_agreement({"CPU": 2.0, name: loss})


class TestWhatThePagesSay:
    def test_the_steps(self):
        assert step.report(stored("step")) in PAGE

    @pytest.mark.parametrize(
        ("name", "module"), [("overhead", overhead), ("peers", step), ("imports", imports), ("busy", busy), ("jobs", jobs)]
    )
    def test_the_rest(self, name, module):
        assert module.report(stored(name)) in PAGE

    def test_on_another_processor(self):
        assert step.report(stored("step_intel")) in PAGE and step.report(stored("step_intel_before")) in PAGE
        paragraph = PAGE[PAGE.index("**On another processor**") :].partition("\n\n")[0]
        for row in stored("step_intel")["rows"][:4]:
            assert f"{row['results']['minidrop']['ratio']:.2f}" in paragraph

    def test_the_one_sentence_of_the_readme(self):
        amd, intel = (stored(name)["rows"][0]["results"]["minidrop"]["ratio"] for name in ("step", "step_intel"))
        assert (stored("step")["rows"][0]["work"], stored("step")["rows"][0]["threads"]) == ("published-cifar", 1)
        said = (
            f"takes {amd:.2f} of PyTorch's time on one thread of an AMD EPYC and {intel:.2f} on an Intel Xeon, and more on two"
        )
        assert said in " ".join(README.split())
        for name in ("step", "step_intel"):
            one, two = (row["results"]["minidrop"]["ratio"] for row in stored(name)["rows"][:2])
            assert stored(name)["rows"][1]["threads"] == 2 and two > one

    def test_nothing_is_slower_than_before(self):
        """Time over PyTorch's time, on the machine where both were measured."""
        for row, before in zip(stored("step_intel")["rows"], stored("step_intel_before")["rows"], strict=True):
            assert (row["work"], row["threads"]) == (before["work"], before["threads"])
            assert row["results"]["minidrop"]["ratio"] < before["results"]["minidrop"]["ratio"], row["work"]

    def test_each_goal_that_is_not_met(self):
        paragraph = PAGE[PAGE.index("Goals that are not met") :].partition("\n\n")[0]
        for row in stored("step")["rows"]:
            ratio = row["results"]["minidrop"]["ratio"]
            assert ratio <= row["goal"] or f"{ratio:.2f}" in paragraph, row["work"]

    def test_the_sentences_on_a_busy_machine_and_on_cropped_images(self):
        longest = max(row["minidrop"]["times"] for row in stored("busy")["rows"])
        cropped = stored("peers")["rows"][0]["results"]["torch_cropped"]["ratio"]
        of_torch = max(row["PyTorch"]["times"] for row in stored("busy")["rows"])
        text = PAGE.replace("\n", " ")
        assert f"at most {longest:.1f} times as long" in text and f"up to {of_torch:.1f}" in text
        assert f"so cropped takes {cropped:.2f} of" in text

    def test_on_the_machine_of_before(self):
        longest = max(row["minidrop"]["times"] for row in stored("busy_amd")["rows"])
        result = stored("jobs_amd")["result"]
        ratios = [torch / own for own, torch in zip(result["minidrop"], result["torch"], strict=True)]
        text = PAGE.replace("\n", " ")
        assert f"at most {longest:.1f} times as long (`results/busy_amd.json`)" in text
        assert f"it was {result['ratio']:.2f} of PyTorch's time (three turns, {min(ratios):.2f} to {max(ratios):.2f};" in text

    def test_the_choice_of_convolution(self):
        for name in ("conv", "conv_intel"):
            rows = conv.table(stored(name)["rows"]).splitlines()[2:]
            worst = max(float(row.split("|")[-2]) for row in rows)
            assert f"at most {worst:.2f} times" in PAGE.replace("\n", " "), name

    def test_the_shapes_are_counted(self):
        assert len(conv.SHAPES) == 50 and PAGE.count("50 shapes") == 2

    def test_how_the_cost_grows(self):
        assert cost.table(stored("cost")["rows"]) in PAGE
        assert (RESULTS / "cost.png").exists()

    def test_nothing_grows_faster_than_its_arithmetic(self):
        rows = stored("cost")["rows"]
        for sweep in ("batch", "kernel", "channels"):
            definition, _, time = cost.growth(rows, sweep)
            assert time < definition, sweep

    def test_with_the_image_it_grows_faster_than_the_definition_but_not_than_what_is_done(self):
        """The transforms are dense: the page says so. Were it otherwise one day, the page should say that."""
        definition, own, time = cost.growth(stored("cost")["rows"], "size")
        assert definition < time < own

    def test_from_where_on_im2col_is_chosen_for_large_images(self):
        assert "from some 200 x 200 on" in PAGE
        chosen = {size: conv_choice.fastest(conv.shape_of((16, 32, size, 32, 5, "same"), True)) for size in (64, 190, 230)}
        assert chosen == {64: "fourier", 190: "fourier", 230: "im2col"}


def test_provenance_names_versions_commit_and_machine():
    where = machine.provenance()
    assert {"python", "numpy", "minidrop", "commit", "processor", "date"} <= set(where)
