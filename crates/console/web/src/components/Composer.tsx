import { useState } from "react";

import { type Autonomy, type Goal, api } from "../api/client";
import { useAction } from "../hooks";
import { clientId } from "../words";
import { ActionButton } from "./ActionButton";
import { ProblemNote } from "./ProblemNote";

const MAX_BYTES = 4096;

interface Props {
  onStated: (goal: Goal) => void;
  stopped: boolean;
}

/** Where a person says what they want. */
export function Composer({ onStated, stopped }: Props) {
  const [text, setText] = useState("");
  const [level, setLevel] = useState<Autonomy | "">("");
  const [dryRun, setDryRun] = useState(false);
  const [id, setId] = useState(clientId);
  const send = useAction(async () => {
    const goal = await api.submit({
      text: text.trim(),
      dry_run: dryRun,
      client_id: id,
      ...(level === "" ? {} : { autonomy: level }),
    });
    setText("");
    setId(clientId());
    onStated(goal);
  });
  const off = whyOff(text, stopped);

  return (
    <form
      className="card composer"
      aria-labelledby="composer-title"
      onSubmit={(event) => {
        event.preventDefault();
        if (off === undefined) send.run();
      }}
    >
      <h2 id="composer-title">
        <label htmlFor="goal-text">What should be done?</label>
      </h2>
      <textarea
        id="goal-text"
        value={text}
        rows={3}
        placeholder="free space under /var/tmp: delete *.log older than 7 days, keep the newest 3"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && off === undefined) send.run();
        }}
      />
      <div className="composer-options">
        <label className="field">
          <span>Ask me</span>
          <select value={level} onChange={(event) => setLevel(event.target.value as Autonomy | "")}>
            <option value="">as configured</option>
            <option value="manual">about every change</option>
            <option value="supervised">about risky changes</option>
            <option value="full">only where policy insists</option>
          </select>
        </label>
        <label className="check">
          <input type="checkbox" checked={dryRun} onChange={(event) => setDryRun(event.target.checked)} />
          <span>Dry run: change nothing</span>
        </label>
      </div>
      <ActionButton kind="primary" type="submit" off={off} busy={send.busy} onPress={send.run}>
        State the goal
      </ActionButton>
      {send.problem ? <ProblemNote problem={send.problem} /> : null}
    </form>
  );
}

function whyOff(text: string, stopped: boolean): string | undefined {
  if (stopped) return "The emergency stop is on: aiosctl emergency resume";
  if (text.trim() === "") return "Say first what you want.";
  const size = new TextEncoder().encode(text.trim()).length;
  if (size > MAX_BYTES) return `Too long: ${size} of ${MAX_BYTES} bytes.`;
  return undefined;
}
