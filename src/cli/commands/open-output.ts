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
    .action(async () => {
      const { outputDir } = readConfig();
      const { prepareFolder } = await import('../../service/outputs.js');
      await prepareFolder(outputDir, 0);
      process.stdout.write(`${outputDir}\n`);
      await openFolder(OPENERS[process.platform] ?? 'xdg-open', outputDir);
    });
}

/** The folder is an argument of its own: no shell reads it. */
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
