// Prints every error and warning of the AsyncAPI documents named as arguments; ends with 1 where there is one.
// The same parser and rules as `asyncapi validate` of @asyncapi/cli, which would be five times as much to install.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Parser } = createRequire(import.meta.url)("@asyncapi/parser");

for (const path of process.argv.slice(2)) {
  const diagnostics = await new Parser().validate(readFileSync(path, "utf8"));
  for (const each of diagnostics) {
    if (each.severity > 1) continue; // 0 is an error, 1 a warning; the rest is advice
    console.log(`${path}:${each.range.start.line + 1}: ${each.code} at ${each.path.join(".")}: ${each.message}`);
    process.exitCode = 1;
  }
}
