import type { Live } from "../hooks";
import { clock } from "../words";

const words: Record<Live["state"], string> = {
  connecting: "Connecting…",
  live: "Live",
  lost: "Connection lost; it comes back by itself",
  ended: "Ended",
};

/** What happened, as it happens; read out politely. */
export function Feed({ live }: { live: Live }) {
  return (
    <section aria-labelledby="feed-title">
      <div className="feed-head">
        <h3 id="feed-title">What happened</h3>
        <span className={`feed-state ${live.state}`}>{words[live.state]}</span>
      </div>
      <div role="log" aria-live="polite" aria-relevant="additions" aria-label="Events of this goal" className="feed" tabIndex={0}>
        <ol>
          {live.events.map((event) => (
            <li key={event.seq} className={`kind-${event.kind.replace(".", "-")}`}>
              <time dateTime={event.time ?? undefined}>{clock(event.time)}</time>
              <span>{event.message}</span>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}
