import { type ApprovalAnswer, api } from "../api/client";
import { useAction } from "../hooks";
import { bytes, clock, plural } from "../words";
import { ActionButton } from "./ActionButton";
import { ProblemNote } from "./ProblemNote";

const SHOWN = 12;

interface Props {
  answer: ApprovalAnswer;
  onDecided: () => void;
}

/** Everything a person needs to decide about one call, and the two buttons. */
export function ApprovalCard({ answer, onDecided }: Props) {
  const { approval } = answer;
  const approve = useAction(async () => {
    await api.decide(approval, true);
    onDecided();
  });
  const deny = useAction(async () => {
    await api.decide(approval, false);
    onDecided();
  });
  const lapsed = approval.expires_at ? Date.parse(approval.expires_at) < Date.now() : false;
  const off = lapsed ? "This request has lapsed; the goal asks again." : undefined;
  const problem = approve.problem ?? deny.problem;
  const title = `approval-${approval.approval_id}`;

  return (
    <section className="approval" aria-labelledby={title}>
      <p className="eyebrow">Your approval is needed</p>
      <h3 id={title}>{approval.summary}</h3>
      <dl className="facts">
        <Fact name="Touches" value={`${plural(approval.files, "file")}, ${bytes(approval.bytes)}`} />
        <Fact name="Risk" value={approval.risk} tone={approval.risk} />
        <Fact name="Undo" value={approval.reversible ? "restores it exactly" : "cannot restore it exactly"} />
        <Fact name="Tool" value={approval.tool} mono />
        <Fact name="Asked by" value={approval.agent_kind || "the orchestrator"} />
        <Fact name="Rule" value={approval.rule_id} mono />
        <Fact name="Lapses" value={clock(approval.expires_at)} />
      </dl>
      {answer.agent_reason === "" ? null : (
        <figure className="reason">
          <figcaption>The agent’s own words, which prove nothing</figcaption>
          <blockquote>{answer.agent_reason}</blockquote>
        </figure>
      )}
      <Touched answer={answer} />
      <div className="actions">
        <ActionButton kind="primary" off={off} busy={approve.busy} onPress={approve.run}>
          Approve
        </ActionButton>
        <ActionButton kind="danger" off={off} busy={deny.busy} onPress={deny.run}>
          Deny
        </ActionButton>
      </div>
      {problem ? <ProblemNote problem={problem} /> : null}
    </section>
  );
}

function Fact({ name, value, mono = false, tone }: { name: string; value: string; mono?: boolean; tone?: string }) {
  if (value === "") return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd className={[mono ? "mono" : "", tone ? `risk-${tone}` : ""].join(" ").trim() || undefined}>{value}</dd>
    </div>
  );
}

function Touched({ answer }: { answer: ApprovalAnswer }) {
  const { identities, args, call_digest } = answer.approval;
  const first = identities.slice(0, SHOWN);
  const rest = identities.slice(SHOWN);
  return (
    <>
      <ul className="touched" aria-label="What it touches">
        {first.map((identity) => (
          <li key={identity.path}>
            <span className="mono">{identity.path}</span>
            <span className="quiet">{identity.kind}</span>
          </li>
        ))}
      </ul>
      {rest.length === 0 ? null : (
        <details>
          <summary>And {rest.length} more</summary>
          <ul className="touched">
            {rest.map((identity) => (
              <li key={identity.path}>
                <span className="mono">{identity.path}</span>
                <span className="quiet">{identity.kind}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      <details>
        <summary>The exact call</summary>
        <pre className="json">{JSON.stringify(args, null, 2)}</pre>
        <p className="quiet small">
          You approve this call and no other. Digest <span className="mono wrap">{call_digest}</span>
        </p>
      </details>
    </>
  );
}
