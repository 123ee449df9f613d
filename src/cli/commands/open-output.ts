// imageforge open-output: shows the output folder in the file manager.
import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import { readConfig } from '../../shared/config.js';
import { ImageForgeError } from '../../shared/errors.js';

const OPENERS: Partial<Record<NodeJS.Platform, string>> = { darwin: 'open', win32: 'explorer' };

export function addOpenOutput(program: Command): void {
  program
    .command('open-output')
    .description('open the output folder in the file manager')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { json?: true }) => {
      const { outputDir } = readConfig();
      const { prepareFolder } = await import('../../service/pictures/outputs.js');
      await prepareFolder(outputDir, 0);
      const opener = OPENERS[process.platform] ?? 'xdg-open';
      // The path is useful without a file manager too. The JSON document waits to say how it ended.
      if (!json) process.stdout.write(`${outputDir}\n`);
      await openFolder(opener, outputDir);
      if (json) process.stdout.write(`${JSON.stringify({ ok: true, output_dir: outputDir }, null, 2)}\n`);
    });
}

/** The folder is passed as an argument of its own, so no shell reads it. */
function openFolder(opener: string, folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(opener, [folder], { stdio: 'ignore', detached: true });
    child.once('error', (error) =>
      reject(
        new ImageForgeError('NOT_FOUND', `${opener} could not be started: ${error.message}`, {
          hint: `The folder is ${folder}.`,
          cause: error,
        }),
      ),
    );
    child.once('spawn', () => {
      child.unref();
      resolve();
    });
  });
}
