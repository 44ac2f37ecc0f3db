import { useCallback, useState } from "react";

import { type ApprovalAnswer, type Goal, api } from "../api/client";
import { useAction, useGoalEvents, usePolled } from "../hooks";
import { date, goalWords, hasEnded, shortId } from "../words";
import { ActionButton } from "./ActionButton";
import { ApprovalCard } from "./ApprovalCard";
import { Feed } from "./Feed";
import { Pill } from "./Pill";
import { ProblemNote } from "./ProblemNote";
import { Steps } from "./Steps";

interface Props {
  goalId: string;
  approvals: ApprovalAnswer[];
  onChanged: () => void;
  onSelect: (goalId: string) => void;
}

/** One goal: what it is doing, what it needs from the person, and what can be done about it. */
export function GoalPage({ goalId, approvals, onChanged, onSelect }: Props) {
  const load = useCallback(() => api.goal(goalId), [goalId]);
  const detail = usePolled(load, 5000);
  const { refresh } = detail;
  const changed = useCallback(() => {
    refresh();
    onChanged();
  }, [refresh, onChanged]);
  const live = useGoalEvents(goalId, changed);
  const goal = detail.value?.goal;

  if (!goal) {
    return (
      <article className="card goal-page" aria-busy={detail.problem === undefined}>
        {detail.problem ? <ProblemNote problem={detail.problem} /> : <p className="quiet">Loading…</p>}
      </article>
    );
  }
  const { word, tone } = goalWords[goal.state];
  return (
    <article className="card goal-page" aria-labelledby="goal-title">
      <header>
        <Pill tone={tone} word={word} />
        <h2 id="goal-title">{goal.text}</h2>
        <p className="status-line" aria-live="polite">
          {goal.status_line}
        </p>
        <p className="quiet small">
          {goal.submitted_by}, {date(goal.created_at)}
          {goal.level === "" ? "" : `, planned ${goal.level}`}
          {goal.dry_run ? ", dry run" : ""} · <span className="mono">{shortId(goal.goal_id)}</span>
        </p>
      </header>
      {goal.error ? <ProblemNote problem={goal.error} /> : null}
      <Links goal={goal} onSelect={onSelect} />
      {approvals.map((answer) => (
        <ApprovalCard key={answer.approval.approval_id} answer={answer} onDecided={changed} />
      ))}
      {goal.state === "awaiting_input" ? <ReplyForm goalId={goalId} onReplied={changed} /> : null}
      <GoalActions goal={goal} onChanged={changed} onSelect={onSelect} />
      <Steps tasks={detail.value?.tasks ?? []} />
      <Feed live={live} />
    </article>
  );
}

function Links({ goal, onSelect }: { goal: Goal; onSelect: (goalId: string) => void }) {
  const links = [
    { text: "Undoes an earlier goal", id: goal.undo_of },
    { text: "Was undone by a later goal", id: goal.undone_by },
  ].filter((link) => link.id !== "");
  if (links.length === 0) return null;
  return (
    <p className="links">
      {links.map((link) => (
        <a
          key={link.id}
          href={`/goals/${link.id}`}
          onClick={(event) => {
            event.preventDefault();
            onSelect(link.id);
          }}
        >
          {link.text}
        </a>
      ))}
    </p>
  );
}

function GoalActions({ goal, onChanged, onSelect }: { goal: Goal; onChanged: () => void; onSelect: (goalId: string) => void }) {
  const undo = useAction(async () => {
    const undoing = await api.undo(goal.goal_id);
    onChanged();
    onSelect(undoing.goal_id);
  });
  const cancel = useAction(async () => {
    await api.cancel(goal.goal_id);
    onChanged();
  });
  const problem = undo.problem ?? cancel.problem;
  return (
    <>
      <div className="actions">
        {hasEnded(goal.state) ? (
          <ActionButton off={whyNoUndo(goal)} busy={undo.busy} onPress={undo.run}>
            Undo what it changed
          </ActionButton>
        ) : (
          <ActionButton busy={cancel.busy} onPress={cancel.run}>
            Cancel the goal
          </ActionButton>
        )}
      </div>
      {problem ? <ProblemNote problem={problem} /> : null}
    </>
  );
}

function whyNoUndo(goal: Goal): string | undefined {
  if (goal.undone_by !== "") return "It was undone already.";
  if (goal.undo_of !== "" && !goal.undoable) return "This goal is itself an undo.";
  if (goal.dry_run) return "A dry run changes nothing.";
  if (!goal.undoable) return "It changed nothing that could be undone.";
  return undefined;
}

function ReplyForm({ goalId, onReplied }: { goalId: string; onReplied: () => void }) {
  const [text, setText] = useState("");
  const send = useAction(async () => {
    await api.reply(goalId, text.trim());
    setText("");
    onReplied();
  });
  const off = text.trim() === "" ? "Write your answer first." : undefined;
  return (
    <form
      className="reply"
      onSubmit={(event) => {
        event.preventDefault();
        if (off === undefined) send.run();
      }}
    >
      <label htmlFor="reply-text">Your answer</label>
      <textarea id="reply-text" rows={2} value={text} onChange={(event) => setText(event.target.value)} />
      <ActionButton kind="primary" type="submit" off={off} busy={send.busy} onPress={send.run}>
        Answer
      </ActionButton>
      {send.problem ? <ProblemNote problem={send.problem} /> : null}
    </form>
  );
}
