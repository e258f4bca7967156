"""Print how large each room of the package is: files, lines, median and longest file.

python experiments/rooms.py [ROOT]
"""

import statistics
import sys
from pathlib import Path

PACKAGE = "prefiqs_jax"
FOLDERS = ("analysis", "experiments", "paper_figures", "tests")


def main() -> None:
    """Print one line a room, the package's rooms first."""
    root = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1]
    package = root / PACKAGE
    rooms = {
        path.name: list(path.rglob("*.py"))
        for path in sorted(package.iterdir())
        if path.is_dir() and any(path.rglob("*.py"))
    }
    rooms = {"(top)": list(package.glob("*.py"))} | rooms
    print(f"{'room':<16}{'files':>6}{'lines':>8}{'median':>8}  longest")
    for name, files in rooms.items():
        _print(name, files)
    _print(PACKAGE, [file for files in rooms.values() for file in files])
    for folder in FOLDERS:
        _print(folder, list((root / folder).rglob("*.py")))


def _print(name: str, files: list[Path]) -> None:
    lines = {file: len(file.read_text("utf-8").splitlines()) for file in files}
    longest = max(lines, key=lines.__getitem__)
    print(
        f"{name:<16}{len(files):>6}{sum(lines.values()):>8}"
        f"{statistics.median(lines.values()):>8.0f}  {longest.name} {lines[longest]}"
    )


if __name__ == "__main__":
    main()
