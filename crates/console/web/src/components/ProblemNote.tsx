import type { ErrorView, Problem } from "../api/client";

/** What failed and what to do next. */
export function ProblemNote({ problem }: { problem: Problem | ErrorView }) {
  const nextStep = "nextStep" in problem ? problem.nextStep : problem.next_step;
  return (
    <div className="problem" role="alert">
      <p>
        <strong>{problem.message}</strong>
      </p>
      <p>{nextStep}</p>
      <p className="code">{problem.code}</p>
    </div>
  );
}
