// A scratch tree of logs where every service may look, and what is in it.

import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const DAY_S = 24 * 3600;

/** Three young logs, three old ones, and a file that is none. */
export function makeTree() {
  const tree = mkdtempSync("/var/tmp/aios-browser-");
  chmodSync(tree, 0o755);
  const now = Math.floor(Date.now() / 1000);
  for (let index = 0; index < 6; index += 1) {
    const file = join(tree, `app-${index}.log`);
    writeFileSync(file, `log ${index}\n`.repeat(1000 * (index + 1)));
    const age = index < 3 ? index * 3600 : (8 + index) * DAY_S;
    utimesSync(file, now - age, now - age);
  }
  writeFileSync(join(tree, "keep.txt"), "not a log\n");
  return tree;
}

/** Digest, mode, owner and times of each file, by name. */
export function contents(tree) {
  const entries = readdirSync(tree)
    .sort()
    .map((name) => {
      const { mode, uid, gid, mtimeMs } = statSync(join(tree, name));
      const digest = createHash("sha256").update(readFileSync(join(tree, name))).digest("hex");
      return [name, { digest, mode, uid, gid, mtimeMs }];
    });
  return Object.fromEntries(entries);
}
