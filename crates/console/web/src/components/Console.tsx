import { useCallback, useEffect } from "react";

import { type Goal, Problem, type Session, api } from "../api/client";
import { useAction, usePath, usePolled } from "../hooks";
import { ActionButton } from "./ActionButton";
import { AuditPanel } from "./AuditPanel";
import { Composer } from "./Composer";
import { GoalList } from "./GoalList";
import { GoalPage } from "./GoalPage";
import { Health } from "./Health";
import { Mark } from "./Mark";
import { ProblemNote } from "./ProblemNote";

interface Props {
  session: Session;
  onSignedOut: (why: Problem) => void;
}

/** The page of a signed-in person. */
export function Console({ session, onSignedOut }: Props) {
  const [path, go] = usePath();
  const status = usePolled(api.status, 5000);
  const goals = usePolled(api.goals, 4000);
  const approvals = usePolled(api.approvals, 4000);
  const selected = path.startsWith("/goals/") ? path.slice("/goals/".length) : goals.value?.[0]?.goal_id;
  const leave = useAction(async () => {
    await api.signOut();
    onSignedOut(new Problem(401, { code: "AIOS-CONSOLE-0010", message: "You signed out.", next_step: "" }));
  });

  const ended = [status, goals, approvals].map((loaded) => loaded.problem).find((problem) => problem?.status === 401);
  useEffect(() => {
    if (ended) onSignedOut(ended);
  }, [ended, onSignedOut]);

  const { refresh: refreshGoals } = goals;
  const { refresh: refreshApprovals } = approvals;
  const { refresh: refreshStatus } = status;
  const changed = useCallback(() => {
    refreshGoals();
    refreshApprovals();
    refreshStatus();
  }, [refreshGoals, refreshApprovals, refreshStatus]);
  const select = useCallback((goalId: string) => go(`/goals/${goalId}`), [go]);
  const stated = useCallback(
    (goal: Goal) => {
      changed();
      select(goal.goal_id);
    },
    [changed, select],
  );

  const waiting = approvals.value ?? [];
  const elsewhere = waiting.filter((answer) => answer.approval.goal_id !== selected);
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the goal
      </a>
      <header className="top">
        <h1>
          <Mark />
          aiOS
        </h1>
        <div className="who">
          <span className="quiet">{session.person}</span>
          <ActionButton busy={leave.busy} onPress={leave.run}>
            Sign out
          </ActionButton>
        </div>
      </header>
      <section className="strip" aria-label="Health">
        <Health status={status} />
      </section>
      <p className="sr-only" aria-live="assertive">
        {waiting.length === 0 ? "" : `${waiting.length} waiting for your approval: ${waiting[0]?.approval.summary ?? ""}`}
      </p>
      <div className="columns">
        <div className="side">
          <Composer onStated={stated} stopped={status.value?.guard?.emergency.stopped ?? false} />
          {elsewhere.length === 0 ? null : (
            <p className="elsewhere">
              {elsewhere.length} more {elsewhere.length === 1 ? "goal waits" : "goals wait"} for your approval.{" "}
              <a
                href={`/goals/${elsewhere[0]?.approval.goal_id ?? ""}`}
                onClick={(event) => {
                  event.preventDefault();
                  select(elsewhere[0]?.approval.goal_id ?? "");
                }}
              >
                Look at it
              </a>
            </p>
          )}
        </div>
        <main id="main" tabIndex={-1}>
          {goals.problem ? <ProblemNote problem={goals.problem} /> : null}
          {selected ? (
            <GoalPage
              key={selected}
              goalId={selected}
              approvals={waiting.filter((answer) => answer.approval.goal_id === selected)}
              onChanged={changed}
              onSelect={select}
            />
          ) : (
            <Welcome />
          )}
        </main>
        <div className="side lower">
          <GoalList goals={goals.value} selected={selected} onSelect={select} />
          <AuditPanel />
        </div>
      </div>
    </div>
  );
}

function Welcome() {
  return (
    <section className="card welcome">
      <h2>Nothing to do yet</h2>
      <p>
        State a goal in your own words. aiOS plans it, shows every step as it happens, asks you before anything risky, and can undo what it
        did.
      </p>
    </section>
  );
}
