import { type ReactNode, useId } from "react";

interface Props {
  children: ReactNode;
  onPress: () => void;
  /** Why it is off; the button can still be reached and read. */
  off?: string | undefined;
  busy?: boolean;
  kind?: "primary" | "danger" | "plain";
  type?: "button" | "submit";
}

/** A button that, when it is off, stays reachable by keyboard and says why. */
export function ActionButton({ children, onPress, off, busy = false, kind = "plain", type = "button" }: Props) {
  const why = useId();
  const idle = off === undefined && !busy;
  return (
    <span className="action">
      <button
        type={type}
        className={`button ${kind}`}
        aria-disabled={!idle}
        aria-busy={busy}
        aria-describedby={off === undefined ? undefined : why}
        onClick={(event) => {
          if (type === "submit" && idle) return;
          event.preventDefault();
          if (idle) onPress();
        }}
      >
        {busy ? <span className="spinner" aria-hidden="true" /> : null}
        {children}
      </button>
      {off === undefined ? null : (
        <span id={why} className="why">
          {off}
        </span>
      )}
    </span>
  );
}
