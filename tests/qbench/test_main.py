import subprocess
import sys


def test_the_package_is_the_command():
    found = subprocess.run([sys.executable, "-m", "qbench", "--version"], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("qbench ")
