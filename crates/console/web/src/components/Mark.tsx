/** The sign of aiOS. */
export function Mark() {
  return (
    <span className="mark" aria-hidden="true">
      <svg viewBox="0 0 32 32" width="26" height="26">
        <rect width="32" height="32" rx="9" className="mark-ground" />
        <circle cx="16" cy="16" r="7" fill="none" className="mark-ring" strokeWidth="3" />
        <circle cx="16" cy="16" r="2.2" className="mark-dot" />
      </svg>
    </span>
  );
}
