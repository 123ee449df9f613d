// imageforge doctor: checks what making a picture needs, and says what to do about what is missing.
import type { Command } from 'commander';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check that everything is in place')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { json?: true }) => {
      const { runChecks } = await import('../doctor-checks.js');
      const checks = await runChecks();
      if (json) {
        process.stdout.write(`${JSON.stringify({ ok: checks.every(({ ok }) => ok), checks }, null, 2)}\n`);
      } else {
        for (const { ok, name, found, hint } of checks) {
          process.stdout.write(`${ok ? 'ok  ' : 'FAIL'}  ${name}: ${found}\n`);
          if (hint) process.stdout.write(`      ${hint}\n`);
        }
      }
      const failed = checks.find(({ ok }) => !ok);
      if (failed) process.exitCode = failed.exitCode;
    });
}
