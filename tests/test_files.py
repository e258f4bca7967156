"""Files are written all at once, into what is there; folders have one owner."""

import contextlib
import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from prefiqs_jax import files
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import PARTIAL, atomic, clear_partial, lock_folder, write_text

ABANDONED = ".a.csv.host-1-0123abcd.partial"
NULL = os.makedev(1, 3)
HOLD = """
import sys, time
from prefiqs_jax.files import atomic, lock_folder
with {}:
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holding(expression):
    """Run a process that stays inside a context until it is killed."""
    command = [sys.executable, "-c", HOLD.format(expression)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.send_signal(signal.SIGKILL)


def write_half(path, error, before=lambda: None):
    """Fail, or not, in the middle of a file."""
    with atomic(path) as temporary:
        before()
        temporary.write_text("half")
        if error:
            raise error


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.fixture
def no_flock(monkeypatch):
    """Make the file system one without locks."""

    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr("fcntl.flock", refuse)


@pytest.mark.usefixtures("umask")
def test_a_new_file_has_the_modes_of_the_umask(tmp_path):
    write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "new"
    assert mode(tmp_path / "a.csv") == 0o640
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("kept", [0o600, 0o644, 0o664, 0o755, 0o666])
@pytest.mark.usefixtures("umask")
def test_an_existing_file_keeps_its_mode(tmp_path, kept):
    file = tmp_path / "a.csv"
    file.write_text("old")
    file.chmod(kept)
    with atomic(file) as temporary:
        # Nobody else may look at what will be a private file while it is made.
        assert mode(temporary) & 0o077 == 0
        temporary.write_text("new")
    assert file.read_text() == "new"
    assert mode(file) == kept


def test_an_existing_file_keeps_its_owner(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("old")
    try:
        os.chown(file, 12345, 23456)
    except PermissionError:
        pytest.skip("only root gives files away")
    file.chmod(0o640)
    write_text(file, "new")
    found = file.stat()
    assert (found.st_uid, found.st_gid, mode(file)) == (12345, 23456, 0o640)


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    file = tmp_path / "a.csv"
    file.write_text("old")
    file.chmod(0o444)
    if os.geteuid() == 0:  # whom the kernel never refuses
        opened = os.open

        def refuse(path, flags, *rest):
            if Path(path) == file and flags & (os.O_WRONLY | os.O_RDWR):
                raise PermissionError(errno.EACCES, "Permission denied")
            return opened(path, flags, *rest)

        monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(InputError, match=r"a\.csv cannot be written: Permission"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("relative", [True, False])
def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path, exists, relative):
    folder = tmp_path / "data"
    folder.mkdir()
    if exists:
        (folder / "a.csv").write_text("old")
    (tmp_path / "one").symlink_to("data/a.csv" if relative else folder / "a.csv")
    (tmp_path / "two").symlink_to("one")
    with atomic(tmp_path / "two") as temporary:
        assert temporary.parent == folder  # where a rename can reach the target
        temporary.write_text("new")
    assert (tmp_path / "two").is_symlink()
    assert (tmp_path / "one").is_symlink()
    assert (folder / "a.csv").read_text() == "new"
    assert names(folder) == ["a.csv"]


def test_links_to_nowhere_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "away").symlink_to("none/a.csv")
    for name in ("loop", "away"):
        with pytest.raises(InputError, match=f"{name} cannot be written"):
            write_text(tmp_path / name, "new")
    assert names(tmp_path) == ["away", "loop"]
    assert (tmp_path / "loop").is_symlink()


@pytest.mark.parametrize("linked", [True, False])
def test_a_device_is_written_to_and_stays(tmp_path, linked):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o640, NULL)
        os.close(os.open(device, os.O_WRONLY))
    except PermissionError:
        pytest.skip("only root makes devices")
    path = tmp_path / "link" if linked else device
    if linked:
        path.symlink_to(device)
    before = device.lstat()
    with atomic(path) as temporary:
        assert temporary.parent != tmp_path  # a folder of devices is no place for it
        temporary.write_text("new")
    after = device.lstat()
    assert stat.S_ISCHR(after.st_mode)
    assert (after.st_rdev, after.st_ino) == (NULL, before.st_ino)
    assert after.st_mode == before.st_mode
    assert path.is_symlink() == linked
    assert not temporary.parent.exists()


def test_a_fifo_is_written_to_and_stays(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write_text(fifo, "ä" * 200_000)  # more than a pipe holds
    reader.join()
    assert read == ["ä" * 200_000]
    assert stat.S_ISFIFO(fifo.lstat().st_mode)
    assert names(tmp_path) == ["fifo"]


def test_a_fifo_gets_nothing_of_what_failed(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    with pytest.raises(ZeroDivisionError):
        write_half(fifo, ZeroDivisionError)
    reader.join()
    assert read == [""]


def test_a_reader_that_goes_away_is_told_in_one_line(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: os.close(os.open(fifo, os.O_RDONLY)))
    reader.start()
    with pytest.raises(InputError, match="fifo cannot be written: Broken pipe"):
        write_half(fifo, None, reader.join)


def test_a_socket_is_refused_and_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # such names have at most 100 characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(InputError, match="socket cannot be written"):
            write_text("socket", "new")
    assert stat.S_ISSOCK(Path("socket").lstat().st_mode)


def test_standard_output_can_be_named():
    code = "from prefiqs_jax.files import write_text; write_text('/dev/stdout', 'new')"
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True) == "new"


def test_a_deleted_file_is_written_to_without_a_name(tmp_path):
    with open(tmp_path / "a.csv", "w+") as file:
        file.write("old, and longer")
        file.flush()
        (tmp_path / "a.csv").unlink()
        write_text(f"/dev/fd/{file.fileno()}", "new")
        file.seek(0)
        assert file.read() == "new"
    assert names(tmp_path) == []


@pytest.mark.parametrize("linked", [True, False])
def test_a_folder_is_no_file(tmp_path, linked):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    path = tmp_path / ("link" if linked else "folder")
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        write_text(path, "new")
    assert names(tmp_path) == ["folder", "link"]
    assert names(tmp_path / "folder") == []


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, ValueError])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    file = tmp_path / "a.csv"
    file.write_text("old")
    inode = file.stat().st_ino
    with pytest.raises(InputError if error is OSError else error):
        write_half(file, error)
    assert file.read_text() == "old"
    assert file.stat().st_ino == inode
    assert names(tmp_path) == ["a.csv"]


def test_the_longest_names_can_be_written(tmp_path):
    for name in ("ä" * 127, "a" * 255):
        write_text(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"


def test_threads_do_not_share_a_temporary_name(tmp_path):
    with atomic(tmp_path / "a.csv") as one, atomic(tmp_path / "a.csv") as other:
        assert one != other
        for part in (str(os.getpid()), socket.gethostname()[:32]):
            assert part in one.name
        one.write_text("one")
        other.write_text("other")
    assert names(tmp_path) == ["a.csv"]


def test_abandoned_files_go_and_nothing_else(tmp_path):
    earlier = ".a.csv.99.partial"  # as version 0.9 called them
    kept = {
        ".b.csv.host-1-0123abcd.partial",  # not asked for
        ".download.partial",  # another program's
        ".a.csv.partial",
        "a.csv.host-1-0123abcd.partial",
        "a.csv",
    }
    for name in {ABANDONED, earlier, *kept}:
        (tmp_path / name).write_text("half")
    (tmp_path / ".a.csv.host-2-0123abcd.partial").mkdir()
    (tmp_path / ".a.csv.host-3-0123abcd.partial").symlink_to("a.csv")
    os.mkfifo(tmp_path / ".a.csv.host-4-0123abcd.partial")
    clear_partial(tmp_path, "a.*")
    found = set(names(tmp_path))
    assert not found & {ABANDONED, earlier}
    assert found >= kept
    assert len(found) == len(kept) + 3
    clear_partial(tmp_path)
    assert ".b.csv.host-1-0123abcd.partial" not in names(tmp_path)
    clear_partial(tmp_path / "none")  # nothing there is nothing to do


def test_files_in_use_stay_until_their_owner_is_dead(tmp_path):
    with holding(f"atomic({str(tmp_path / 'a.csv')!r})"):
        (left,) = names(tmp_path)
        assert left.endswith(PARTIAL)
        clear_partial(tmp_path)
        assert names(tmp_path) == [left]
    assert names(tmp_path) == [left]  # it was killed
    clear_partial(tmp_path)
    assert names(tmp_path) == []


def test_a_file_that_is_written_by_its_path_stays(tmp_path):
    """Parquet, say: the lock outlives the writer's own opening and closing."""
    with atomic(tmp_path / "a.csv") as temporary:
        for text in ("one", "two"):
            temporary.write_text(text)
            clear_partial(tmp_path)
            assert names(tmp_path) == [temporary.name]
    assert (tmp_path / "a.csv").read_text() == "two"


def test_a_file_that_is_cleared_before_it_is_locked_is_made_again(
    tmp_path, monkeypatch
):
    lock = files._lock
    calls = []

    def late(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            clear_partial(tmp_path)  # locks, and removes it
            assert names(tmp_path) == []
        return lock(descriptor)

    monkeypatch.setattr(files, "_lock", late)
    write_text(tmp_path / "a.csv", "new")
    assert len(calls) == 3
    assert (tmp_path / "a.csv").read_text() == "new"
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.usefixtures("no_flock")
def test_without_locks_nothing_is_removed_and_nothing_fails(tmp_path):
    (tmp_path / ABANDONED).write_text("half")
    clear_partial(tmp_path)
    write_text(tmp_path / "a.csv", "new")
    assert names(tmp_path) == [ABANDONED, "a.csv"]


def test_a_folder_has_one_owner(tmp_path):
    with holding(f"lock_folder({str(tmp_path)!r}, 'sweeping')") as process:
        with (
            pytest.raises(InputError, match=r"wait .*, or give another") as error,
            lock_folder(tmp_path, "scoring"),
        ):
            pass
        text = str(error.value)
        assert f"{tmp_path} is in use by process {process.pid}" in text
        assert f"on {socket.gethostname()}, sweeping since 20" in text
        assert "\n" not in text
    assert names(tmp_path) == [".lock"]  # it was killed, so that the lock is free
    with lock_folder(tmp_path, "scoring"):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()
    assert names(tmp_path) == []


def test_the_threads_of_a_process_do_not_share_a_folder(tmp_path):
    with (
        lock_folder(tmp_path, "sweeping"),
        pytest.raises(InputError, match="is in use"),
        lock_folder(tmp_path, "sweeping"),
    ):
        pass
    assert names(tmp_path) == []


def test_a_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path, "sweeping"):
        raise ZeroDivisionError
    assert names(tmp_path) == []
    with lock_folder(tmp_path, "sweeping"):
        assert names(tmp_path) == [".lock"]


def test_a_lock_that_was_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """The owner ended between our opening its file and our locking it."""
    lock = files._lock
    calls = []

    def late(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            (tmp_path / ".lock").unlink()
        return lock(descriptor)

    monkeypatch.setattr(files, "_lock", late)
    with lock_folder(tmp_path, "sweeping"):
        monkeypatch.undo()
        assert len(calls) == 2
        with pytest.raises(InputError, match="in use"), lock_folder(tmp_path, "x"):
            pass


def test_many_threads_never_have_a_folder_together(tmp_path):
    inside, seen, taken = [], [], []

    def work():
        for _ in range(200):
            try:
                with lock_folder(tmp_path, "sweeping"):
                    inside.append(1)
                    seen.append(len(inside))
                    inside.pop()
            except InputError:
                taken.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) + len(taken) == 800
    assert set(seen) == {1}
    assert names(tmp_path) == []


@pytest.mark.usefixtures("no_flock")
def test_without_locks_a_folder_is_used_and_said(tmp_path, capsys):
    with lock_folder(tmp_path, "sweeping"):
        pass
    assert names(tmp_path) == []
    assert capsys.readouterr().err.count("\n") == 1
    said = []
    with lock_folder(tmp_path, "sweeping", said.append):
        pass
    assert len(said) == 1
    assert "no locks on this file system" in said[0]


def test_what_is_no_lock_is_not_taken_for_one(tmp_path):
    (tmp_path / ".lock").write_text("the user's own")
    with pytest.raises(InputError, match="no lock of"), lock_folder(tmp_path, "x"):
        pass
    assert (tmp_path / ".lock").read_text() == "the user's own"
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").symlink_to("elsewhere")
    with pytest.raises(InputError, match="cannot be locked"), lock_folder(tmp_path, ""):
        pass
    assert names(tmp_path) == [".lock"]
    with (
        pytest.raises(InputError, match="none cannot be locked: No such file"),
        lock_folder(tmp_path / "none", "sweeping"),
    ):
        pass


def test_a_lock_that_was_removed_by_hand_is_not_removed_again(tmp_path):
    first = lock_folder(tmp_path, "one")
    first.__enter__()
    (tmp_path / ".lock").unlink()
    with lock_folder(tmp_path, "two"):
        first.__exit__(None, None, None)
        with (
            pytest.raises(InputError, match="is in use by"),
            lock_folder(tmp_path, "three"),
        ):
            pass
    assert not list(tmp_path.iterdir())
