"""One call of each tool namespace in the booted image: what its worker's AppArmor profile and seccomp filter must let through."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

# What a person asks: the machine's command line, JSON in and out.
Ctl = Callable[..., tuple[int, list[Any]]]
Expect = Callable[[bool, str], None]

# A call that only looks, and what its result must have.
LOOKS: dict[str, tuple[dict[str, Any], str]] = {
    "fs.stat": ({"path": "/etc"}, "kind"),
    "hw.info": ({}, "kernel"),
    "monitor.memory": ({}, "total_bytes"),
    "process.list": ({}, "processes"),
    "service.list": ({}, "services"),
    "net.interfaces": ({}, "interfaces"),
    "firewall.rules": ({}, "rules"),
    "pkg.list": ({}, "packages"),
    "sec.check_permissions": ({"root": "/etc"}, "findings"),
}


class Namespaces:
    """Calls by hand, as the enrolled person."""

    def __init__(self, ctl: Ctl, expect: Expect, person: str, approve: Callable[[str], int]) -> None:
        self._ctl = ctl
        self._expect = expect
        self._person = person
        self._approve = approve

    def call(self, tool: str, args: dict[str, Any]) -> tuple[str, Any]:
        """Calls a tool, approves what is asked, and answers the goal and the result."""
        _, documents = self._ctl("tool", "call", "--detach", tool, json.dumps(args), user=self._person)
        goal = documents[0]["goal_id"]
        code, _ = self._ctl("goal", "watch", goal, user=self._person, codes=range(6))
        if self._approve(goal):
            code, _ = self._ctl("goal", "watch", goal, user=self._person, codes=range(6))
        _, documents = self._ctl("goal", "show", goal, user=self._person)
        detail = documents[0]
        steps = [step for task in detail["tasks"] for step in task["steps"]]
        self._expect(code == 0 and bool(steps), f"{tool}: exit {code}: {json.dumps(detail)[-1200:]}")
        return goal, steps[-1]["result"]

    def look(self) -> Any:
        """Every namespace answers from behind its confinement."""
        missing = []
        for tool, (args, wanted) in LOOKS.items():
            _, result = self.call(tool, args)
            if wanted not in (result or {}):
                missing.append(f"{tool} has no `{wanted}`: {json.dumps(result)[:300]}")
        self._expect(not missing, "; ".join(missing))
        return sorted(LOOKS)

    def open_files(self) -> Any:
        """The process worker sees what processes of other users hold open; not those of aiOS's services, whose profiles
        let nobody look into them."""
        _, result = self.call("process.open_files", {"deleted_only": False, "limit": 5000})
        users = {file["user"] for file in result["files"]}
        self._expect("root" in users, f"only of {users}; {result['not_readable']} processes were not readable")
        return {"files": result["matched"], "users": sorted(users), "not_readable": result["not_readable"]}

    def firewall(self) -> Any:
        """A rule is made under approval and undone; those that the machine booted with stay."""
        _, before = self.call("firewall.rules", {})
        goal, changed = self.call("firewall.allow", {"protocol": "tcp", "port": 12345})
        self._expect("rule" in (changed or {}), f"{json.dumps(changed)[:300]}")
        _, there = self.call("firewall.rules", {})
        self._expect(len(there["rules"]) == len(before["rules"]) + 1, f"{json.dumps(there)[:300]}")
        code, events = self._ctl("goal", "undo", goal, user=self._person, codes=range(6))
        undoing = next(event["goal_id"] for event in events if "goal_id" in event)
        if self._approve(undoing):
            code, _ = self._ctl("goal", "watch", undoing, user=self._person, codes=range(6))
        _, gone = self.call("firewall.rules", {})
        same = len(gone["rules"]) == len(before["rules"])
        self._expect(code == 0 and same, f"exit {code}: {json.dumps(gone)[:300]}")
        return changed["rule"]
