import type { Service, Status } from "../api/client";
import type { Loaded } from "../hooks";
import { bytes, plural } from "../words";
import { ProblemNote } from "./ProblemNote";

function isWell(service: Service): boolean {
  return service.state === "ready" || service.state === "listening";
}

/** How the machine is, in one line; all of it when opened. */
export function Health({ status }: { status: Loaded<Status> }) {
  const { value, problem } = status;
  if (problem) return <ProblemNote problem={problem} />;
  if (!value) return <p className="health quiet">Looking at the services…</p>;
  const sick = value.services.filter((service) => !isWell(service));
  const silent = Object.entries(value.problems);
  const well = sick.length === 0 && silent.length === 0 && value.guard?.audit_writable !== false;
  const running = value.agents.filter((agent) => agent.state === "running").length;
  return (
    <>
      {value.guard?.emergency.stopped ? (
        <div className="banner" role="alert">
          <strong>Emergency stop.</strong> Nothing is changed until it is lifted: {value.guard.emergency.reason}{" "}
          <code>aiosctl emergency resume</code>
        </div>
      ) : null}
      <details className="health">
        <summary>
          <span className={`light ${well ? "good" : "bad"}`} aria-hidden="true" />
          <span>{headline(value, sick.length, silent.length)}</span>
          <span className="quiet extra">
            {plural(running, "agent")} · {plural(value.guard?.audit_size ?? 0, "audit record")}
            {value.level === "" ? "" : ` · ${value.level}`}
          </span>
        </summary>
        <ul className="services">
          {value.services.map((service) => (
            <li key={service.name} className={isWell(service) ? "well" : "sick"}>
              <span className="mono">{service.name}</span>
              <span>{service.state}</span>
              <span className="quiet">{service.rss_bytes === 0 ? "" : bytes(service.rss_bytes)}</span>
              <span className="quiet">{service.restarts === 0 ? "" : plural(service.restarts, "restart")}</span>
            </li>
          ))}
          {silent.map(([name, why]) => (
            <li key={name} className="sick">
              <span className="mono">{name}</span>
              <span>no answer</span>
              <span className="wide">{why.next_step}</span>
            </li>
          ))}
        </ul>
        {value.guard?.audit_writable === false ? (
          <p className="step-error">The audit log cannot be written, so nothing is changed: {value.guard.audit_problem}</p>
        ) : null}
        {value.guard && value.guard.degradations.length > 0 ? (
          <>
            <p className="degraded-title">What this machine lacks, and what holds instead</p>
            <ul className="degraded">
              {value.guard.degradations.map((degradation) => (
                <li key={degradation}>{degradation}</li>
              ))}
            </ul>
          </>
        ) : null}
      </details>
    </>
  );
}

function headline(status: Status, sick: number, silent: number): string {
  if (silent > 0) return `${plural(silent, "service")} did not answer`;
  if (sick > 0) return `${plural(sick, "service")} of ${status.services.length} ${sick === 1 ? "needs" : "need"} attention`;
  return `All ${status.services.length} services are well`;
}
