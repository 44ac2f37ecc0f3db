"""The installer of the medium: what it understands, which disk it takes, and what it refuses."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "bootc/iso/installer.py"


def load() -> ModuleType:
    """The program is no package: it lies on the medium alone."""
    spec = importlib.util.spec_from_file_location("installer", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["installer"] = module
    spec.loader.exec_module(module)
    return module


installer = load()
GIB = 1 << 30


def disk(path: str = "/dev/nvme0n1", **changes: object) -> Any:  # noqa: ANN401 - loaded at run time
    """An empty disk of 12 GiB."""
    values: dict[str, object] = {
        "path": path,
        "size": 12 * GIB,
        "model": "m",
        "read_only": False,
        "removable": False,
        "used_by": [],
        "holds": [],
    }
    return installer.Disk(**(values | changes))


def test_words_keep_blanks_in_quotes_and_others_words_are_not_ours() -> None:
    line = 'init=/x "aios.admin_key=ssh-ed25519 AAAA me" aios.install=auto quiet\n'
    assert installer.parse_command_line(line) == {
        "admin_key": "ssh-ed25519 AAAA me",
        "install": "auto",
    }


def test_the_file_counts_more_than_the_command_line() -> None:
    wish = installer.wish_of(
        {"install": "ask", "install.wipe": "no"},
        {"install": "auto", "wipe": True, "then": "poweroff"},
    )
    assert (wish.disk, wish.wipe, wish.then, wish.asked) == ("auto", True, "poweroff", False)


def test_without_a_word_nothing_is_installed() -> None:
    assert installer.wish_of({}, {}).disk == ""


@pytest.mark.parametrize(
    ("words", "file", "part"),
    [
        ({"install": "nvme0n1"}, {}, "write ask, auto"),
        ({"install": "auto", "install.wipe": "maybe"}, {}, "write yes or no"),
        ({"install": "auto", "install.then": "dance"}, {}, "write reboot"),
        ({"hostname": "-x"}, {}, "no host name"),
        ({"admin_key": "secret"}, {}, "SSH public key"),
        ({"admin_key": 'ssh-ed25519 AAAA me" init=/bin/sh "'}, {}, "SSH public key"),
        ({}, {"disc": "auto"}, "is not known"),
        ({}, {"asked": True}, "is not known"),
        ({}, {"wipe": "yes"}, "write bool"),
    ],
)
def test_what_is_not_understood_is_refused(
    words: dict[str, str], file: dict[str, Any], part: str
) -> None:
    with pytest.raises(installer.Refused, match=part):
        installer.wish_of(words, file)


def test_whole_disks_are_found_with_what_is_on_them() -> None:
    part = {"path": "/dev/sda1", "type": "part", "mountpoints": ["/boot", None]}
    crypt = {"path": "/dev/mapper/x", "type": "crypt", "mountpoints": [None]}
    report = {
        "blockdevices": [
            {
                "path": "/dev/sda",
                "size": 20 * GIB,
                "model": " A ",
                "type": "disk",
                "pttype": "gpt",
                "children": [part],
            },
            {
                "path": "/dev/sdb",
                "size": 20 * GIB,
                "type": "disk",
                "fstype": "ext4",
                "mountpoints": [None],
                "children": [crypt],
            },
            {
                "path": "/dev/sr0",
                "size": GIB,
                "type": "rom",
                "mountpoints": ["/run/aios-live/medium"],
            },
            {"path": "/dev/loop0", "size": GIB, "type": "loop"},
            {"path": "/dev/zram0", "size": GIB, "type": "disk"},
            {"path": "/dev/sdc", "size": 0, "type": "disk"},
        ]
    }
    found = installer.disks_of(report)
    assert [(it.path, it.used_by, it.holds) for it in found] == [
        ("/dev/sda", ["/boot"], ["gpt"]),
        ("/dev/sdb", ["/dev/mapper/x"], ["ext4"]),
    ]
    assert found[0].describe() == "/dev/sda  20.0 GiB  A  (gpt)"


@pytest.mark.parametrize(
    ("changes", "wipe", "part"),
    [
        ({"used_by": ["/boot"]}, True, "in use: /boot"),
        ({"read_only": True}, True, "cannot be written"),
        ({"size": 5 * GIB}, True, "5.0 GiB; 6 GiB are needed"),
        ({"holds": ["gpt"]}, False, "aios.install.wipe=yes"),
    ],
)
def test_a_disk_that_will_not_do_is_named_with_the_reason(
    changes: dict[str, Any], wipe: bool, part: str
) -> None:
    reason = installer.refusal(disk(**changes), wipe)
    assert reason is not None
    assert part in reason
    with pytest.raises(installer.Refused, match="no disk will do"):
        installer.choose([disk(**changes)], installer.Wish(disk="auto", wipe=wipe))


def test_a_full_disk_may_be_erased_only_with_leave() -> None:
    assert installer.refusal(disk(holds=["gpt"]), wipe=True) is None


def test_auto_takes_the_only_disk_that_will_do_and_never_guesses() -> None:
    small, good, stick = (
        disk("/dev/sda", size=GIB),
        disk("/dev/sdb"),
        disk("/dev/sdc", removable=True),
    )
    assert installer.choose([small, good, stick], installer.Wish(disk="auto")) is good
    with pytest.raises(installer.Refused, match="several disks will do"):
        installer.choose([good, disk("/dev/sdd")], installer.Wish(disk="auto"))
    with pytest.raises(installer.Refused, match="this machine has none"):
        installer.choose([], installer.Wish(disk="auto"))


def test_a_named_disk_must_be_there() -> None:
    with pytest.raises(installer.Refused, match="there is no disk /dev/none; there are /dev/sdb"):
        installer.choose([disk("/dev/sdb")], installer.Wish(disk="/dev/none"))


def asked(answers: list[str], disks: list[Any]) -> tuple[Any, list[str], Any]:
    """Asks with these answers."""
    said: list[str] = []
    wish = installer.Wish(disk="ask")
    rest = iter(answers)
    return installer.ask(disks, wish, lambda _: next(rest), said.append), said, wish


def test_a_person_is_asked_again_until_the_answer_is_one() -> None:
    answers = ["7", "x", "1", "2", "no", "2", "Yes", "2", "yes", "box", ""]
    chosen, said, wish = asked(answers, [disk("/dev/sda", used_by=["/"]), disk("/dev/sdb")])
    assert (chosen.path, wish.hostname) == ("/dev/sdb", "box")
    text = "\n".join(said)
    assert "`7` is none of them" in text
    assert "Not possible: /dev/sda is in use: /" in text
    assert "`Yes` is neither yes nor no; nothing was done" in text


def test_a_person_may_go_on_without_installing() -> None:
    assert asked(["q"], [disk()])[0] is None


def test_bootc_is_told_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "aios").mkdir()
    (tmp_path / "aios/follow").write_text("registry registry.example.org/aios:latest\n")
    wish = installer.Wish(disk="auto", hostname="box", admin_key="ssh-ed25519 AAAA me")
    words = installer.command(disk(), wish, tmp_path)
    assert words[-1] == "/dev/nvme0n1"
    assert f"--source-imgref oci:{tmp_path}/aios/image" in " ".join(words)
    assert words[words.index("--target-transport") + 1] == "registry"
    assert words[words.index("--target-imgref") + 1] == "registry.example.org/aios:latest"
    assert 'aios.admin_key="ssh-ed25519 AAAA me"' in words
    assert "aios.hostname=box" in words
