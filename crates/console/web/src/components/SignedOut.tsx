import type { Problem } from "../api/client";
import { Mark } from "./Mark";
import { ProblemNote } from "./ProblemNote";

/** How to get in. A wrong or used link says so; never having signed in is no mistake. */
export function SignedOut({ problem }: { problem: Problem }) {
  const firstVisit = problem.code === "AIOS-CONSOLE-0010";
  return (
    <main className="gate">
      <div className="card gate-card">
        <Mark />
        <h1>Sign in to aiOS</h1>
        <p>Run this in a terminal on the machine, and open the link that it prints:</p>
        <pre className="command">
          <code>aiosctl console open</code>
        </pre>
        <p className="quiet">The link works once, for five minutes.</p>
        {firstVisit ? null : <ProblemNote problem={problem} />}
      </div>
    </main>
  );
}
