// `npm test`: builds the program and the native test programs, runs every test, says why tests were skipped, and ends with
// a line that counts them. Arguments go to vitest: `npm test -- tests/unit` runs a part. The native test programs run only
// without arguments.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const args = process.argv.slice(2);
const count = { passed: 0, failed: 0, skipped: 0 };
/** How many tests were skipped for each reason. */
const reasons = new Map();

function run(command, commandArgs, options = {}) {
  const result = spawnSync(command, commandArgs, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) throw result.error;
  return result;
}

/** Runs vitest and adds its JSON report to the count. */
function runVitest() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'imageforge-test-'));
  const report = path.join(folder, 'report.json');
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const { status } = run(process.execPath, [
    vitest,
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...args,
  ]);
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    // A file that fails to load has no tests of its own, but it is a failure.
    const brokenFiles = testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
    ).length;
    count.passed += numPassedTests;
    count.failed += numFailedTests + brokenFiles;
    count.skipped += numPendingTests + numTodoTests;
    if (status !== 0 && numFailedTests + brokenFiles === 0) count.failed += 1;
    const skipped = testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter((test) => ['pending', 'skipped', 'todo'].includes(test.status));
    for (const { fullName } of skipped) {
      const reason = reasonOf(fullName);
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A test that may be skipped says why in its title or its suite's title: "(needs a GPU)", "(skipped: no python3 here)". */
function reasonOf(title) {
  return /\((needs [^()]+)\)/.exec(title)?.[1] ?? /\(skipped: ([^()]+)\)/.exec(title)?.[1] ?? title;
}

/** Builds the C++ test programs beside the addon and runs them through CTest. */
function runNativeTests() {
  const steps = [
    ['-S', '.', '-B', 'build', '-DIMAGEFORGE_TESTS=ON'],
    ['--build', 'build', '--parallel', String(os.availableParallelism())],
  ];
  for (const step of steps) {
    const { status, stdout } = run('cmake', step, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
    if (status !== 0) {
      process.stdout.write(stdout);
      count.failed += 1;
      return;
    }
  }
  const { stdout } = run('ctest', ['--test-dir', 'build', '--output-on-failure'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  process.stdout.write(stdout);
  const summary = /(\d+) tests? failed out of (\d+)/.exec(stdout);
  if (!summary) throw new Error('ctest printed no summary');
  count.failed += Number(summary[1]);
  count.passed += Number(summary[2]) - Number(summary[1]);
}

if (run(process.execPath, [path.join('scripts', 'build', 'dist.mjs')]).status !== 0) process.exit(1);
runVitest();
if (args.length === 0) runNativeTests();
for (const [reason, tests] of reasons) console.log(`${tests} skipped (${reason})`);
console.log(
  `${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ''}`,
);
process.exit(count.failed === 0 && count.passed > 0 ? 0 : 1);
