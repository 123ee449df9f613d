// Checks a commit message, as git's commit-msg hook. The subject must have fewer than 72 characters, so that logs and lists
// of pull requests show all of it, and an empty line must separate it from the body.
//
//   node scripts/check/commit-subject.mjs FILE
import { readFileSync } from 'node:fs';

const LIMIT = 72;

const [subject = '', second = ''] = readFileSync(process.argv[2], 'utf8')
  .split(/\r?\n/)
  .filter((line) => !line.startsWith('#'));
// Git writes these subjects itself, from those of other commits.
const made = /^(Merge|Revert|fixup!|squash!|amend!) /.test(subject);

const problems = [];
if (!made && subject.length >= LIMIT)
  problems.push(
    `The subject has ${subject.length} characters; it may have ${LIMIT - 1}. Say why in the body.\n  ${subject}`,
  );
if (second.trim() !== '')
  problems.push(`The second line is the body's already; leave it empty.\n  ${second}`);
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
