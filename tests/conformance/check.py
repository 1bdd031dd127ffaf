"""Does a decoder follow the specification? Runs its command on every case of this folder.

    python check.py aecodec decompress {in} -o {out}
    python check.py --at-once my-decoder {folder} {outputs}

{in} is an .aec file, {out} the PNG to make of it; with --at-once the command is run once for a
folder of files, and makes outputs/NAME.png of each folder/NAME.aec that it can decode (it makes
the folder of outputs, too). What it
knows beside the pixels it may write into NAME.json beside the PNG: any of the fields of cases.json
(width, mode, checksums, ..., error), which are then compared. Needs Pillow and numpy, not aecodec.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent


def fault(case: dict, out: pathlib.Path) -> str:
    """What is wrong with the decoder's answer to one case, or nothing."""
    told = (
        json.loads(out.with_suffix(".json").read_text())
        if out.with_suffix(".json").exists()
        else {}
    )
    if wrong := [f"{key} {value}" for key, value in told.items() if case.get(key) != value]:
        return ", ".join(wrong)
    if "error" in case or not out.exists():
        return "it was decoded" if out.exists() else "" if "error" in case else "no picture"
    if case["tolerance"] is None:
        return ""
    found, expected = Image.open(out), Image.open(HERE / "good" / f"{case['name']}.png")
    if (found.mode, found.size) != (expected.mode, expected.size):
        return f"{found.mode} {found.size}, not {expected.mode} {expected.size}"
    error = np.asarray(found, float) - np.asarray(expected, float)
    peak, rmse = np.abs(error).max(), np.sqrt(np.mean(error**2))
    within = peak <= case["tolerance"]["peak"] and rmse <= case["tolerance"]["rmse"]
    return "" if within else f"pixels differ by up to {peak:.0f}, {rmse:.3f} RMSE"


def main(command: list[str]) -> int:
    cases, failed = json.loads((HERE / "cases.json").read_text()), 0
    at_once = command[:1] == ["--at-once"]
    with tempfile.TemporaryDirectory() as outputs:
        for folder in ("good", "bad") if at_once else ():
            names = {"{folder}": str(HERE / folder), "{outputs}": f"{outputs}/{folder}"}
            subprocess.run([names.get(part, part) for part in command[1:]], capture_output=True)
        for case in cases:
            place = pathlib.Path("bad" if "error" in case else "good", case["name"])
            source, out = HERE / f"{place}.aec", pathlib.Path(outputs, f"{place}.png")
            out.parent.mkdir(exist_ok=True)
            names = {"{in}": str(source), "{out}": str(out)}
            if not at_once:
                subprocess.run([names.get(part, part) for part in command], capture_output=True)
            if wrong := fault(case, out):
                failed += 1
                print(f"{case['name']}: {wrong}")
    print(f"{len(cases) - failed} of {len(cases)} cases passed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
