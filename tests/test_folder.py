"""The folder of an experiment: its lock, what a kill or a full disk leaves, and how one goes on."""

from __future__ import annotations

import errno
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from filelock import FileLock
from made_up import every_thousand, experiment
from test_reproduce import minidrop, table_rows, wait_until, with_path

from minidrop import serialization
from minidrop.command import main
from minidrop.errors import StateError
from minidrop.paper.history import read_history
from minidrop.paper.reproduce import page
from minidrop.paper.reproduce.lock import only_one_process

SHORT = ["reproduce", "--variants", "cnn", "--iterations", 8, "--evaluate-every", 4]


@pytest.fixture(autouse=True)
def without_figures():
    """They take their time, and test_reproduce.py draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "write_figures", lambda *_arguments: {})
        yield


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestLock:
    def test_two_processes_do_not_work_on_one_folder(self, tmp_path):
        (tmp_path / "out").mkdir()
        with FileLock(tmp_path / "out" / ".lock"):
            assert "another process is at work" in minidrop(*SHORT, "--out", tmp_path / "out", status=1)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
        minidrop(*SHORT, "--out", tmp_path / "out")  # the lock alone is no experiment

    def test_a_folder_of_the_other_process_is_not_removed(self, tmp_path, monkeypatch):
        """Both start at once, and see no folder yet: the one without the lock leaves the other's alone."""
        folder = tmp_path / "out"
        exists = type(folder).exists
        monkeypatch.setattr(type(folder), "exists", lambda path: path != folder and exists(path))
        folder.mkdir()
        with FileLock(folder / ".lock"):
            with pytest.raises(StateError, match="another process"), only_one_process(folder):
                pass
            assert [path.name for path in folder.iterdir()] == [".lock"]

    def test_nothing_is_left_beside_the_folder(self, tmp_path):
        minidrop(*SHORT, "--out", tmp_path / "a" / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["a"] and [p.name for p in (tmp_path / "a").iterdir()] == ["out"]

    @pytest.mark.parametrize("there", [False, True])
    def test_a_folder_made_for_nothing_is_removed(self, there, tmp_path):
        folder = tmp_path / "a" / "b"
        if there:
            folder.mkdir(parents=True)
        with pytest.raises(ZeroDivisionError), only_one_process(folder):
            assert folder.is_dir() and 1 / 0
        assert folder.exists() == there and (tmp_path / "a").exists() == there and tmp_path.exists()
        with only_one_process(folder):
            (folder / "config.json").touch()
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "config.json"]

    @pytest.mark.parametrize("where", ["file/out", "file/a/out", "/proc/out", "/proc/self"])
    def test_a_folder_that_cannot_be_made_or_written(self, where, tmp_path):
        """It is not "another process at work". /proc refuses root too."""
        if where.startswith("/proc") and not pathlib.Path("/proc/self").exists():
            pytest.skip("no /proc here")
        (tmp_path / "file").touch()
        with pytest.raises(StateError, match="cannot be used") as error, only_one_process(tmp_path / where):
            pass
        assert "can be made" in error.value.expected and ": " in error.value.got and error.value.help == "name another folder"
        assert everything(tmp_path) == {"file": b""}

    @pytest.mark.parametrize("command", [["draws"], ["claims", "--out"]])
    def test_other_commands_do_not_work_for_nothing(self, command, tmp_path, monkeypatch):
        for work in ("minidrop.paper.reproduce.draws.measure_draws", "minidrop.paper.claims.write.claims_text"):
            monkeypatch.setattr(work, lambda *_: 1 / 0)
        (tmp_path / "file").touch()
        printed = minidrop(*command, tmp_path / "file" / "out", status=1)
        assert f"Error: {tmp_path / 'file' / 'out'} cannot be used" in printed and "Not a directory" in printed

    def test_in_words_on_the_command_line(self, tmp_path):
        (tmp_path / "file").touch()
        printed = minidrop(*SHORT, "--out", tmp_path / "file" / "out", status=1)
        assert f"Error: {tmp_path / 'file' / 'out'} cannot be used" in printed and "Not a directory" in printed


class TestResume:
    def test_it_starts_what_is_not_there_yet(self, tmp_path):
        """One command for a queue: also after a kill before, or while, config.json was written."""
        folders = [tmp_path / name for name in ("new", "empty", "locked", "half")]
        for folder in folders[1:]:
            folder.mkdir()
        for folder in folders[2:]:
            (folder / ".lock").touch()
        (folders[3] / ".config.json.abc.tmp").write_text('{"settings": ')
        for folder in folders:
            assert "1 run of 8 iterations" in minidrop(*SHORT, "--resume", "--out", folder)
            rows = read_history(folder / "history" / "cnn_seed0.csv")
            minidrop(*SHORT, "--resume", "--out", folder)  # the same command again finds nothing left to do
            assert read_history(folder / "history" / "cnn_seed0.csv") == rows
            assert table_rows(folder) == table_rows(folders[0])

    def test_other_files_are_not_touched(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("not to be touched")
        assert "is not empty" in minidrop(*SHORT, "--resume", "--out", tmp_path, status=1)
        (tmp_path / "thesis.txt").unlink()
        (tmp_path / "config.json").write_text('{"settings": ')  # damaged is not the same as not there
        for resume in (["--resume"], []):
            assert "config.json cannot be read" in minidrop(*SHORT, *resume, "--out", tmp_path, status=1)

    def test_a_kill_just_after_the_settings_were_written(self, tmp_path):
        minidrop(*SHORT, "--out", tmp_path / "whole")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "config.json").write_bytes((tmp_path / "whole" / "config.json").read_bytes())  # no folders yet
        minidrop("reproduce", "--resume", "--out", tmp_path / "other")
        assert table_rows(tmp_path / "other") == table_rows(tmp_path / "whole")

    @pytest.mark.parametrize(("seeds", "got"), [(2, "2 of 2 runs done"), (1, "1 of 1 run done")])
    def test_a_second_plain_reproduce_says_what_report_and_resume_do(self, seeds, got, tmp_path):
        folder = tmp_path / "my runs"
        experiment(folder, lambda run: every_thousand(4_000, lambda _: 0.5), variants=("cnn",), seeds=seeds, iterations=4_000)
        before = everything(folder)
        printed = minidrop("reproduce", "--out", folder, status=1)
        assert "holds an experiment already" in printed and f"got: {got}" in printed
        assert f"minidrop report '{folder}' shows its results again" in printed
        assert f"minidrop reproduce --resume --out '{folder}' finds something to do if more --iterations" in printed
        (folder / "history" / "cnn_seed0.json").unlink()
        printed = minidrop("reproduce", "--out", folder, status=1)
        assert f"--resume --out '{folder}' goes on where it stopped" in printed
        del before["history/cnn_seed0.json"]
        assert everything(folder) == before


class TestDamagedCheckpoints:
    @pytest.mark.parametrize("done", [True, False])
    def test_the_error_names_what_to_delete_to_train_anew(self, done, tmp_path):
        """Of a run that is to be longer, or that was killed."""
        minidrop(*SHORT, "--out", tmp_path / "out")
        minidrop(*[*SHORT[:4], 12, *SHORT[5:]], "--out", tmp_path / "whole")
        checkpoint = tmp_path / "out" / "checkpoints" / "cnn_seed0.safetensors"
        if not done:
            (tmp_path / "out" / "history" / "cnn_seed0.json").unlink()
        checkpoint.write_bytes(checkpoint.read_bytes()[:-20])
        again = ["reproduce", "--resume", "--iterations", 12, "--out", tmp_path / "out"]
        printed = minidrop(*again, status=1)
        assert f"Error: {checkpoint} cannot be read\n" in printed
        named = re.search(r"help: delete (.*), to train this run anew\n", printed)[1].split(" and ")
        for name in named:
            pathlib.Path(name).unlink()
        assert len(named) == 1 + done
        minidrop(*again)
        assert table_rows(tmp_path / "out") == table_rows(tmp_path / "whole")

    def test_one_that_is_gone(self, tmp_path):
        minidrop(*SHORT, "--out", tmp_path / "out")
        (tmp_path / "out" / "checkpoints" / "cnn_seed0.safetensors").unlink()
        again = ["reproduce", "--resume", "--iterations", 12, "--out", tmp_path / "out"]
        result = tmp_path / "out" / "history" / "cnn_seed0.json"
        assert f"or delete {result} too, to train this run anew" in minidrop(*again, status=1)
        result.unlink()
        minidrop(*again)


def test_a_report_on_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    """It is refused before anything is shown."""
    experiment(tmp_path / "a", lambda run: every_thousand(4_000, lambda _: 0.5), variants=("cnn",), iterations=4_000)
    before = everything(tmp_path)

    def refuse(dir, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))

    monkeypatch.setattr("minidrop.paper.reproduce.lock.tempfile.TemporaryFile", refuse)
    printed = minidrop("report", tmp_path / "a", status=1)
    assert printed.startswith(f"Error: {tmp_path / 'a'} cannot be used\n") and "What came" not in printed
    assert "Permission denied" in printed and "help: the report is written to it: copy it" in printed
    assert everything(tmp_path) == before


class TestBreaks:
    @pytest.mark.parametrize("writes", [1, 4, 6, 9])
    def test_a_full_disk(self, writes, tmp_path, monkeypatch):
        """Whichever file does not fit any more: which it is, how to go on, and the same end as without."""
        fsync, counted = os.fsync, iter(range(10**6))

        def full(handle):
            if next(counted) >= writes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(handle)

        monkeypatch.setattr(serialization.os, "fsync", full)
        printed = minidrop(*SHORT, "--out", tmp_path / "out", status=1)
        assert re.search(rf"Error: {tmp_path / 'out'}/\S+\w cannot be written\n", printed)
        assert "got: No space left on device" in printed and "no result is lost" in printed
        assert printed.endswith(f"go on with: minidrop reproduce --resume --out {tmp_path / 'out'}\n")
        monkeypatch.undo()
        assert not list(tmp_path.rglob("*.tmp"))
        minidrop(*SHORT, "--resume", "--out", tmp_path / "out")
        minidrop(*SHORT, "--out", tmp_path / "whole")
        assert table_rows(tmp_path / "out") == table_rows(tmp_path / "whole")

    def test_a_full_disk_while_a_row_is_added(self, tmp_path, monkeypatch):
        folder = tmp_path / "out"
        opened = pathlib.Path.open

        def full(path, *arguments, **options):
            if path.suffix == ".csv":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return opened(path, *arguments, **options)

        monkeypatch.setattr(pathlib.Path, "open", full)
        printed = minidrop(*SHORT, "--out", folder, status=1)
        assert f"Error: {folder / 'history' / 'cnn_seed0.csv'} cannot be written" in printed

    def test_a_full_disk_while_figures_are_drawn(self, tmp_path, monkeypatch):
        def full(path, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        monkeypatch.setattr(page, "write_atomically", full)
        printed = minidrop(*SHORT, "--out", tmp_path, status=1)
        assert f"Error: {tmp_path / 'table.md'} cannot be written" in printed
        assert printed.endswith(f"go on with: minidrop report {tmp_path}\n") and "What came: CNN" in printed

    def test_another_error_of_the_system_is_not_a_full_disk(self, tmp_path, monkeypatch):
        def refuse(path, content):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(page, "write_atomically", refuse)
        printed = minidrop(*SHORT, "--out", tmp_path, status=1)
        assert f"Error: {tmp_path / 'table.md'}: Permission denied" in printed and "no result" not in printed

    @pytest.mark.parametrize("command", [SHORT, None], ids=["reproduce", "report"])
    def test_ctrl_c_while_figures_are_drawn(self, command, tmp_path, monkeypatch):
        minidrop(*SHORT, "--out", tmp_path / "whole")

        def pressed(*_arguments):
            raise KeyboardInterrupt

        folder = tmp_path / ("out" if command else "whole")
        monkeypatch.setattr(page, "write_figures", pressed)
        printed = minidrop(*([*command, "--out", folder] if command else ["report", folder]), status=130)
        assert printed.endswith(f"interrupted; go on with: minidrop report {folder}\n")
        monkeypatch.undo()
        minidrop("report", folder)
        assert table_rows(folder) == table_rows(tmp_path / "whole") and (folder / "report.html").exists()

    def test_ctrl_c_before_anything_is_done(self, tmp_path, monkeypatch):
        def pressed(*_arguments, **_options):
            raise KeyboardInterrupt

        monkeypatch.setattr("minidrop.datasets.load", pressed)
        result = CliRunner().invoke(main, [str(word) for word in [*SHORT, "--out", tmp_path / "out"]])
        assert result.exit_code == 130 and result.output == "interrupted\n" and not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_a_real_ctrl_c_while_figures_are_drawn(self, tmp_path):
        folder = tmp_path / "out"
        command = [sys.executable, "-m", "minidrop", *map(str, SHORT), "--out", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=with_path()) as child:
            wait_until(lambda: (folder / "table.md").exists())  # the figures come next
            child.send_signal(signal.SIGINT)
            output, error = child.communicate(timeout=60)
        # CPython ends itself by SIGINT, which a shell calls 130 too, if the signal came inside an exec() of matplotlib's
        assert child.returncode in (130, -signal.SIGINT) and "Traceback" not in error, error
        assert error.endswith(f"interrupted; go on with: minidrop report {folder}\n") and "What came: CNN" in output
        minidrop("report", folder)


@pytest.mark.parametrize("backend", ["nonsense", "TkAgg", "module://nowhere", ""])
def test_no_window_system_is_needed(backend, tmp_path):
    """Whatever MPLBACKEND says: figures are written to files. And it is as it was afterwards, for who draws on."""
    folder = tmp_path / "made-up"
    experiment(folder, lambda run: every_thousand(4_000, lambda _: 0.5), variants=("cnn",), iterations=4_000)
    code = f"""if True:
        import os
        from minidrop.command import main
        main(["report", {str(folder)!r}], standalone_mode=False)
        main(["compare", {str(folder)!r}, {str(folder)!r}, "--figure", {str(tmp_path / "both.png")!r}], standalone_mode=False)
        print(os.environ["MPLBACKEND"])"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**with_path(), "MPLBACKEND": backend}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == backend, done.stderr
    assert (folder / "figure4.png").exists() and (tmp_path / "both.png").exists()
