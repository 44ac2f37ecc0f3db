import { describe, expect, it } from "vitest";

import { bytes, clientId, hasEnded, plural } from "./words";

describe("words", () => {
  it("shows sizes in the unit that reads best", () => {
    expect([0, 1023, 1024, 1536, 1048576].map(bytes)).toEqual(["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB"]);
  });

  it("counts with the right ending", () => {
    expect([plural(1, "file"), plural(2, "file")]).toEqual(["1 file", "2 files"]);
  });

  it("makes UUIDv7 ids that sort by time", () => {
    const id = clientId(1_700_000_000_000);
    expect(id).toMatch(/^018bcfe5-6800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(clientId(2) > clientId(1)).toBe(true);
  });

  it("knows when nothing more happens", () => {
    expect((["completed", "failed", "cancelled", "awaiting_approval"] as const).map(hasEnded)).toEqual([true, true, true, false]);
  });
});
