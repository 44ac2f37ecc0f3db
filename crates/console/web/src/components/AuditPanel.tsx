import { useState } from "react";

import { type LiveReport, api } from "../api/client";
import { useAction } from "../hooks";
import { clock, plural } from "../words";
import { ActionButton } from "./ActionButton";
import { ProblemNote } from "./ProblemNote";

/** Verifies the log, and says what that means. */
export function AuditPanel() {
  const [report, setReport] = useState<LiveReport>();
  const [at, setAt] = useState("");
  const verify = useAction(async () => {
    setReport(undefined);
    setReport(await api.verify());
    setAt(clock(new Date().toISOString()));
  });
  return (
    <section className="card audit" aria-labelledby="audit-title">
      <h2 id="audit-title">Audit log</h2>
      <p className="quiet">Everything that was decided and done stands in a log that cannot be altered unnoticed.</p>
      <ActionButton busy={verify.busy} onPress={verify.run}>
        Verify the log
      </ActionButton>
      <div aria-live="polite">
        {verify.busy ? <p className="quiet">Reading and hashing every record…</p> : null}
        {report ? (
          <div className="verified">
            <p>
              <strong>The log is whole.</strong> {plural(report.records, "record")} read, {report.covered} under the signed checkpoint, at{" "}
              {at}.
            </p>
            <p className="small quiet">
              Root <span className="mono wrap">{report.checkpoint.root}</span>
            </p>
          </div>
        ) : null}
      </div>
      {verify.problem ? <ProblemNote problem={verify.problem} /> : null}
    </section>
  );
}
