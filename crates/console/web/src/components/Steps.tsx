import type { Step, Task } from "../api/client";
import { stepWords } from "../words";
import { Pill } from "./Pill";

/** The plan's tasks and their steps. */
export function Steps({ tasks }: { tasks: Task[] }) {
  if (tasks.length === 0) return null;
  return (
    <section aria-labelledby="steps-title">
      <h3 id="steps-title">Steps</h3>
      {tasks.map((task) => (
        <div key={task.task_id} className="task">
          <p className="task-head">
            <strong>{task.name}</strong>
            <span className="quiet">{task.agent_kind === "" ? "not routed yet" : task.agent_kind}</span>
          </p>
          {task.capabilities.length === 0 ? null : (
            <p className="capabilities">
              <span className="quiet">May </span>
              {task.capabilities.map((capability) => (
                <code key={capability}>{capability}</code>
              ))}
            </p>
          )}
          <ol className="steps">
            {task.steps.map((step) => (
              <StepItem key={step.step} step={step} />
            ))}
          </ol>
        </div>
      ))}
    </section>
  );
}

function StepItem({ step }: { step: Step }) {
  const { word, tone } = stepWords[step.state];
  const proof = [
    step.rule_id === "" ? undefined : `rule ${step.rule_id}`,
    step.ended_at ? `audit record ${step.audit_seq}` : undefined,
    step.undoable ? "can be undone" : undefined,
  ].filter((part) => part !== undefined);
  return (
    <li>
      <div className="step-head">
        <span className="mono">{step.name}</span>
        <Pill tone={tone} word={word} />
      </div>
      <p className="step-args mono">{about(step.args)}</p>
      {step.reason === "" ? null : <p className="quiet small">“{step.reason}”</p>}
      {step.error ? (
        <p className="step-error">
          {step.error.message} <span className="code">{step.error.code}</span>
        </p>
      ) : null}
      {proof.length === 0 ? null : <p className="quiet small">{proof.join(" · ")}</p>}
      <details>
        <summary>
          Details<span className="sr-only"> of step {step.step}</span>
        </summary>
        <pre className="json">{JSON.stringify({ arguments: step.args, result: step.result }, null, 2)}</pre>
      </details>
    </li>
  );
}

/** The most telling part of a call's arguments. */
function about(args: unknown): string {
  if (typeof args !== "object" || args === null) return "";
  const { path, paths } = args as { path?: unknown; paths?: unknown };
  if (typeof path === "string") return path;
  if (Array.isArray(paths) && typeof paths[0] === "string") {
    return paths.length === 1 ? paths[0] : `${paths[0]} and ${paths.length - 1} more`;
  }
  const text = JSON.stringify(args);
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}
