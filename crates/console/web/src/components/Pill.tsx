import type { Tone } from "../words";

/** A state as a word with a colour; the word alone says it all. */
export function Pill({ tone, word }: { tone: Tone; word: string }) {
  return (
    <span className={`pill ${tone}`}>
      <span className="dot" aria-hidden="true" />
      {word}
    </span>
  );
}
