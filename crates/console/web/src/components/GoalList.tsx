import type { Goal } from "../api/client";
import { date, goalWords } from "../words";
import { Pill } from "./Pill";

interface Props {
  goals: Goal[] | undefined;
  selected: string | undefined;
  onSelect: (goalId: string) => void;
}

/** Goals, newest first. */
export function GoalList({ goals, selected, onSelect }: Props) {
  return (
    <section className="card goal-list" aria-labelledby="goals-title">
      <h2 id="goals-title">Goals</h2>
      {goals === undefined ? <p className="quiet">Loading…</p> : null}
      {goals?.length === 0 ? <p className="quiet">None yet. State the first one above.</p> : null}
      <ul>
        {goals?.map((goal) => {
          const { word, tone } = goalWords[goal.state];
          return (
            <li key={goal.goal_id}>
              <a
                href={`/goals/${goal.goal_id}`}
                aria-current={goal.goal_id === selected ? "true" : undefined}
                onClick={(event) => {
                  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
                  event.preventDefault();
                  onSelect(goal.goal_id);
                }}
              >
                <span className="goal-text">{goal.text}</span>
                <span className="goal-meta">
                  <Pill tone={tone} word={goal.undone_by === "" ? word : `${word}, undone`} />
                  <time dateTime={goal.created_at ?? undefined}>{date(goal.created_at)}</time>
                </span>
              </a>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
